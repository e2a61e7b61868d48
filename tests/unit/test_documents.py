"""The documents: links and paths lead somewhere, commands and keys exist, every output is described."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from results_dictionary import CONDITION, read_dictionary

from rhvae_mri.evaluation.conditions import CONDITION as CONDITION_COLUMNS
from rhvae_mri.files import read_json

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("workflow/*/*.md")]
    if not path.relative_to(ROOT).parts[0].startswith((".", "results"))
)
#: Folders of the repository whose files documents name.
_FOLDERS = "workflow|tests|envs|config|resources|docs|benchmarks"


def names_of(documents):
    return [str(path.relative_to(ROOT)) for path in documents]


def anchors(text):
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_of(text):
    """All code of a document: blocks that are indented or fenced, and code in lines."""
    blocks = re.findall(r"^ {4,}(.*)$", text, re.MULTILINE) + re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    return "\n".join(blocks + re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=names_of(DOCUMENTS))
def test_links_lead_to_files_and_headings(document):
    text = document.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            assert target.startswith(("https://", "mailto:")), target
            continue
        other = (document.parent / place).resolve() if place else document
        assert other.exists(), target
        assert not anchor or anchor in anchors(other.read_text()), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=names_of(DOCUMENTS))
def test_paths_of_the_repository_exist(document):
    paths = re.findall(rf"(?<![\w/.<>*-])(?:{_FOLDERS})/[\w./*-]*\w", code_of(document.read_text()))
    assert [path for path in paths if not any(ROOT.glob(path))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=names_of(DOCUMENTS))
def test_commands_exist(document):
    code = code_of(document.read_text())
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:^|[`\n])make ([a-z-]+)", code)) <= set(targets)
    rules = re.findall(r"^rule (\w+)", (ROOT / "workflow/Snakefile").read_text(), re.MULTILINE)
    asked = re.findall(r"(?:^|/)snakemake (?:--[a-z-]+ )*([a-z_]+)$", code, re.MULTILINE)
    assert set(asked) - {"conda"} <= set(rules)  # `--sdm conda`
    for module in re.findall(r"python -m (rhvae_mri[\w.]*)", code):
        place = ROOT.joinpath("workflow", *module.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module
    for file in re.findall(r"--configfile (\S+)", code):
        assert (ROOT / file).is_file(), file


@pytest.mark.parametrize("document", DOCUMENTS, ids=names_of(DOCUMENTS))
def test_keys_of_the_configuration_exist(document):
    schema = read_json(ROOT / "workflow/schemas/config.schema.json")["properties"]
    sections = "|".join(schema)
    for key in re.findall(rf"`((?:{sections})(?:\.[\w<>*]+)+)[`:]", document.read_text()):
        if key.endswith((".tsv", ".json", ".md")):
            continue
        node = {"properties": schema}
        for part in key.split("."):
            if node.get("additionalProperties"):  # names of the user's own
                break
            known = node.get("properties", {})
            further = list(node.get("patternProperties", {}).values())
            assert part in known or further or part == "*", key
            node = known.get(part) or (further or list(known.values()))[0]


def test_the_messages_that_are_explained_are_those_of_the_code():
    text = (ROOT / "docs/troubleshooting.md").read_text()
    parts = ("workflow/rhvae_mri/**/*.py", "workflow/rules/*.smk", "envs/check_python.py")
    sources = [path for part in parts for path in ROOT.glob(part)]
    # texts that are divided over lines are one text
    code = re.sub(r'"\s+f?"', "", "".join(path.read_text() for path in sources))
    first_column = "\n".join(re.findall(r"^\| (`.*?) \| ", text, re.MULTILINE))
    of_others = {"Error: Directory cannot be locked"}
    assert [words for words in re.findall(r"`([^`]+)`", first_column) if words not in code] == sorted(
        of_others
    )


def test_every_output_of_the_demo_is_described_and_nothing_else():
    lines = (ROOT / "tests/golden/expected_outputs.txt").read_text().splitlines()
    outputs = [line.split(maxsplit=1)[1] for line in lines if line.strip()]
    entries = read_dictionary()
    hidden = re.compile(r"(^|/)\.\w")
    unknown = [
        output
        for output in outputs
        if not hidden.search(output) and not any(entry.describes(output) for entry in entries)
    ]
    assert unknown == []
    assert [entry.patterns for entry in entries if not any(map(entry.describes, outputs))] == []


def test_every_column_is_explained_once_and_no_other():
    text = (ROOT / "docs/results.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| .+ \|$", text.partition("## Columns")[2], re.MULTILINE)
    explained = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(set(explained)) == len(explained)
    used = {column for entry in read_dictionary() for column in entry.columns}
    assert used == set(explained)
    assert tuple(CONDITION) == CONDITION_COLUMNS


def test_each_figure_of_the_demo_has_a_source_table_that_is_described():
    lines = (ROOT / "tests/golden/expected_outputs.txt").read_text().split()
    for figure in (name for name in lines if fnmatch(name, "figures/*.svg")):
        table = figure.removesuffix(".svg") + ".tsv"
        assert any(entry.columns and entry.describes(table) for entry in read_dictionary()), table


def test_the_citation_file_has_what_its_format_asks_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert isinstance(citation["message"], str)
    assert citation["type"] in ("software", "dataset")
    assert re.search(
        rf'__version__ = "{citation["version"]}"', (ROOT / "workflow/rhvae_mri/__init__.py").read_text()
    )
    assert (ROOT / "LICENSE").read_text().startswith(f"{citation['license']} License")
    for work in (citation, citation["preferred-citation"]):
        assert isinstance(work["title"], str)
        assert work["authors"]
        for author in work["authors"]:
            assert author.keys() <= {"family-names", "given-names", "name", "orcid", "affiliation"}
            assert ("name" in author) != ("family-names" in author)
    article = citation["preferred-citation"]
    assert article["type"] == "article"
    assert isinstance(article["year"], int)
    for identifier in article["identifiers"]:
        assert identifier["type"] in ("doi", "url", "swh", "other")
    allowed = {"cff-version", "message", "type", "title", "version", "license", "authors", "keywords"}
    assert citation.keys() - {"preferred-citation"} <= allowed


def test_the_changelog_explains_its_mark_and_has_entries_for_this_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "**results**" in text.partition("## ")[0]
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", heading) for heading in headings[1:])
