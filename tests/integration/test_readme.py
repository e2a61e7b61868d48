"""The commands of the documents, copied by a script, work in a fresh clone in a bare environment."""

import json
import re
import shutil
from dataclasses import dataclass

import pytest
from documented_commands import ROOT, read_commands
from headless_browser import Browser, find_chromium

pytestmark = pytest.mark.demo

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/use.md")
REPORT = ".venv/bin/snakemake --report results/report.zip"
#: The page of every report of Snakemake says this of itself.
NOTICE_OF_SNAKEMAKE = "cdn.tailwindcss.com should not be used in production"


@dataclass(frozen=True)
class Run:
    """A command that is run in the clone: what it then says, a file that is there, what is appended to it."""

    says: str = ""
    writes: str = ""
    option: str = ""


#: Commands that take days are planned.
PLANNED = Run("^train_generator +4$", option=" --dry-run")

RUN = {
    "make environment": Run("Nothing to be done"),
    "make coverage": Run("coverage run -m pytest tests/unit", option=" --dry-run"),
    ".venv/bin/snakemake --configfile config/paper.yaml --dry-run": Run(PLANNED.says),
    ".venv/bin/snakemake estimate --configfile config/paper.yaml": Run(writes="results-paper/estimate.tsv"),
    ".venv/bin/snakemake --configfile config/paper.yaml --cores 16 --resources mem_mb=64000 gpu=1": PLANNED,
    ".venv/bin/snakemake --configfile config/paper.yaml --profile workflow/profiles/slurm": PLANNED,
    REPORT: Run("Report created", "results/report.zip"),
    ".venv/bin/snakemake random_search": Run(writes="results/figures/search_downsampled.svg"),
    ".venv/bin/snakemake audit": Run("Nothing to be done", "results/audit/cohort-ADNI/index.html"),
    "make compare OTHER=results-other": Run("The studies are equal in all", "results/comparison.tsv"),
    "PYTHONPATH=workflow .venv/bin/python -m rhvae_mri.provenance.files"
    " results/provenance/cohort-ADNI/files.tsv": Run("All files are as recorded"),
}

#: Commands that something else runs, and the file that says so.
ELSEWHERE = {"make demo": "tests/integration/conftest.py", "make test": ".ci/run", "make lint": ".ci/run"}

#: Conda takes its packages from the network; tests/unit/test_environments.py compares the versions.
NOT_RUN = {".venv/bin/snakemake --sdm conda"}

DOCUMENTED = list(dict.fromkeys(command for document in DOCUMENTS for command in read_commands(document)))


@pytest.fixture(scope="module")
def clone(demo):
    """The clone after `make demo`; its downloads stand for real ones, its results for another study, too."""
    assert demo.returncode == 0, demo.output
    configuration = demo.folder / "config" / "paper.yaml"
    text = configuration.read_text()
    for cohort in ("ADNI", "AIBL"):
        for part in ("images", "tables"):
            entry = re.compile(rf"^(  {cohort}:\n(?: {{4}}.*\n)*? {{4}}{part}: )null\b", re.MULTILINE)
            text, count = entry.subn(rf"\1results/downloads/cohort-{cohort}/{part}", text)
            assert count == 1
    configuration.write_text(text)
    (demo.folder / "results-other").symlink_to("results")
    return demo


def test_no_command_of_the_documents_is_forgotten():
    assert sorted(DOCUMENTED) == sorted([*RUN, *ELSEWHERE, *NOT_RUN])


@pytest.mark.parametrize("command", [command for command in DOCUMENTED if command in RUN])
def test_the_command_works_in_the_clone(clone, command):
    expected = RUN[command]
    result = clone.run(command + expected.option)
    assert result.returncode == 0, result.output
    assert re.search(expected.says, result.output, re.MULTILINE), result.output
    assert (clone.folder / expected.writes).exists()


@pytest.mark.parametrize("command", sorted(ELSEWHERE))
def test_the_command_is_run_elsewhere(command):
    assert re.search(rf'(^|"){command}("|$)', (ROOT / ELSEWHERE[command]).read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def report(clone, tmp_path_factory):
    """The unpacked report."""
    clone.run(REPORT)
    folder = tmp_path_factory.mktemp("report")
    shutil.unpack_archive(clone.results / "report.zip", folder)
    return folder / "report"


def test_the_report_has_every_picture_of_the_audits(report):
    pages = list(report.glob("data/raw/*/index.html"))
    assert len(pages) == 2
    for page in pages:
        pictures = set(re.findall(r'"([\w-]+\.webp)"', page.read_text()))
        assert pictures
        assert pictures <= {file.name for file in (page.parent / "images").iterdir()}


@pytest.mark.skipif(find_chromium() is None, reason="there is no `chromium` on the PATH")
def test_the_report_opens_without_network_and_shows_all_that_is_in_it(report):
    with Browser() as browser:
        browser.open(report / "report.html")
        browser.wait_for("document.body.innerText.includes('Simulated data:')")
        results = json.loads(browser.evaluate("JSON.stringify(results)"))
        menu = browser.evaluate("document.body.innerText").splitlines()
        assert set(browser.evaluate("Object.keys(categories)")) <= set(menu)
        assert 25 < len(results) < 100
        assert [name for name, result in results.items() if len(result["caption"]) < 20] == []
        for result in results.values():
            browser.open(report / result["data_uri"])
            assert not browser.evaluate("document.querySelector('parsererror')")
            browser.evaluate("[...document.images].forEach(image => image.loading = 'eager')")
            sources = "[...document.images].filter(image => image.getAttribute('src'))"
            browser.wait_for(f"{sources}.every(image => image.complete)")
            assert browser.evaluate(f"{sources}.every(image => image.naturalWidth > 0)"), result["name"]
        assert [message for message in browser.messages if NOTICE_OF_SNAKEMAKE not in message] == []
        assert browser.failures == []
        assert [one for one in browser.requests if not one.startswith(("file:", "data:"))] == []
