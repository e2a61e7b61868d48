"""The documents: links and paths lead somewhere, commands and keys exist, every output is described."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from results_dictionary import CONDITION, list_figures, read_dictionary

from rhvae_mri import __version__
from rhvae_mri.io.files import read_json
from rhvae_mri.statistics.conditions import CONDITION as CONDITION_COLUMNS
from rhvae_mri.study.configuration import Configuration

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("workflow/*/*.md")]
    if not path.relative_to(ROOT).parts[0].startswith((".", "results"))
)
#: Folders of the repository whose files documents name.
_FOLDERS = "workflow|tests|envs|config|resources|docs|benchmarks"


def code_of(text):
    """All code of a document: blocks that are indented or fenced, and code in lines."""
    blocks = re.findall(r"^ {4,}(.*)$", text, re.MULTILINE) + re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    return "\n".join(blocks + re.findall(r"`([^`\n]+)`", text))


def anchors(text):
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document, text):
    """Links that lead to no file, heading or address of the web."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, anchor = target.partition("#")
        other = (document.parent / place).resolve() if place else document
        if re.match(r"[a-z]+:", target):
            if not target.startswith(("https://", "mailto:")):
                yield target
        elif not other.exists() or (anchor and anchor not in anchors(other.read_text())):
            yield target


def unknown_names(code):
    """Paths, targets of make and of Snakemake, modules and configurations that are not there."""
    paths = re.findall(rf"(?<![\w/.<>*-])(?:{_FOLDERS})/[\w./*-]*\w", code)
    yield from (path for path in paths + re.findall(r"--configfile (\S+)", code) if not any(ROOT.glob(path)))
    for module in re.findall(r"python -m (rhvae_mri[\w.]*)", code):
        place = ROOT.joinpath("workflow", *module.split("."))
        if not (place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()):
            yield module
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    yield from set(re.findall(r"(?:^|[`\n])make ([a-z-]+)", code)) - set(targets)
    snakefiles = [ROOT / "workflow/Snakefile", ROOT / "workflow/rules/estimate.smk"]
    rules = re.findall(r"^rule (\w+)", "".join(map(Path.read_text, snakefiles)), re.MULTILINE)
    asked = re.findall(r"(?:^|/)snakemake (?:--[a-z-]+ )*([a-z_]+)$", code, re.MULTILINE)
    yield from set(asked) - {"conda", *rules}  # `--sdm conda`


def unknown_keys(text):
    """Keys of the configuration that the schema does not have."""
    schema = read_json(ROOT / "workflow/schemas/config.schema.json")["properties"]
    for key in re.findall(rf"`((?:{'|'.join(schema)})(?:\.[\w<>*]+)+)[`:]", text):
        node = {"properties": schema}
        for part in key.split(".") if not key.endswith((".tsv", ".json", ".md")) else ():
            if node.get("additionalProperties"):  # names of the user's own
                break
            known = node.get("properties", {})
            further = list(node.get("patternProperties", {}).values())
            if not (part in known or further or part == "*"):
                yield key
                break
            node = known.get(part) or (further or list(known.values()))[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_paths_commands_and_keys_lead_somewhere(document):
    text = document.read_text()
    assert list(broken_links(document, text)) == []
    assert list(unknown_names(code_of(text))) == []
    assert list(unknown_keys(text)) == []


def test_what_leads_nowhere_is_found():
    text = "[a](absent.md) [b](README.md#absent) [c](ftp://x) [d](https://x)"
    assert list(broken_links(ROOT / "README.md", text)) == ["absent.md", "README.md#absent", "ftp://x"]
    code = "docs/absent.md\ndocs/use.md\nmake absent\npython -m rhvae_mri.absent\nsnakemake --cores no_rule"
    assert set(unknown_names(code)) == {"docs/absent.md", "absent", "rhvae_mri.absent", "no_rule"}
    keys = unknown_keys("`cnn.sedes` `cnn.seeds` `cohorts.mine.source` `study.absent: x`")
    assert list(keys) == ["cnn.sedes", "study.absent"]


def test_the_messages_that_are_explained_are_those_of_the_code():
    text = (ROOT / "docs/troubleshooting.md").read_text()
    parts = ("workflow/rhvae_mri/**/*.py", "workflow/rules/*.smk", "envs/check_python.py")
    # texts that are divided over lines are one text
    code = re.sub(r'"\s+f?"', "", "".join(path.read_text() for part in parts for path in ROOT.glob(part)))
    first_column = "\n".join(re.findall(r"^\| (`.*?) \| ", text, re.MULTILINE))
    unknown = [words for words in re.findall(r"`([^`]+)`", first_column) if words not in code]
    assert unknown == [
        "Error: Directory cannot be locked",
        "could not determine the home directory",
    ]  # of Snakemake


def test_every_output_of_the_demo_is_described_and_nothing_else_and_figures_with_their_source_tables():
    lines = (ROOT / "tests/golden/expected_outputs.txt").read_text().splitlines()
    outputs = [line.split(maxsplit=1)[1] for line in lines if line.strip()]
    outputs += list_figures(Configuration().model_dump())
    entries = read_dictionary()
    shown = [output for output in outputs if not re.search(r"(^|/)\.\w", output)]
    assert [one for one in shown if not any(entry.describes(one) for entry in entries)] == []
    assert [entry.patterns for entry in entries if not any(map(entry.describes, outputs))] == []
    tables = [f"{one[:-4]}.tsv" for one in shown if fnmatch(one, "figures/*.svg")]
    assert tables
    assert [one for one in tables if not any(each.columns and each.describes(one) for each in entries)] == []


def test_every_column_is_explained_once_and_no_other():
    text = (ROOT / "docs/results.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| .+ \|$", text.partition("## Columns")[2], re.MULTILINE)
    explained = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(set(explained)) == len(explained)
    used = {column for entry in read_dictionary() for column in entry.columns}
    assert used == set(explained)
    assert tuple(CONDITION) == CONDITION_COLUMNS


def test_the_citation_file_has_what_its_format_asks_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    article = citation["preferred-citation"]
    assert citation.keys() > {"cff-version", "message", "title", "authors"}
    assert article.keys() > {"type", "title", "authors"}
    assert citation["version"] == __version__
    assert (ROOT / "LICENSE").read_text().startswith(f"{citation['license']} License")
    for author in citation["authors"] + article["authors"]:
        assert author.keys() <= {"family-names", "given-names", "name", "orcid", "affiliation"}
        assert ("name" in author) != ("family-names" in author)


def test_the_changelog_explains_its_mark_and_has_entries_for_this_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "**results**" in text.partition("## ")[0]
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", heading) for heading in headings[1:])
