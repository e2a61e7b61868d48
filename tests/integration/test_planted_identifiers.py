"""Identifiers in the headers of a download are in nothing that the study writes."""

import pydicom
import pytest
from planted_headers import find_planted, plant

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def small_config(load_config):
    config = load_config()
    for cohort, sizes in {"ADNI": (2, 2), "AIBL": (1, 1)}.items():
        config["simulation"]["participants"][cohort] = dict(zip(("AD", "CN"), sizes, strict=True))
    config["simulation"]["special_cases"] = False
    return config


def test_no_planted_identifier_reaches_dataset_derivatives_logs_audit_or_provenance(
    run_snakemake, tmp_path, small_config
):
    downloads = [f"results/downloads/cohort-{cohort}/truth.tsv" for cohort in ("ADNI", "AIBL")]
    result = run_snakemake(tmp_path, small_config, "--", *downloads)
    assert result.returncode == 0, result.stdout
    for cohort in ("ADNI", "AIBL"):
        assert plant(tmp_path / f"results/downloads/cohort-{cohort}/images") > 50
    result = run_snakemake(tmp_path, small_config, "--", "audit")
    assert result.returncode == 0, result.stdout
    (tmp_path / "printed.txt").write_text(result.stdout)
    assert (tmp_path / "results/audit/cohort-AIBL/index.html").exists()
    assert find_planted(tmp_path, tmp_path / "results/downloads") == []


def test_no_text_of_a_header_is_in_the_results_of_the_whole_study(demo):
    texts = set()
    for path in (demo.results / "downloads").rglob("*_1_S*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        for element in header.iterall():
            if element.VR in ("PN", "LO", "SH", "LT", "UI") and element.value:
                texts.add(str(element.value))
    # sequences and participants are in the study tables and in the names of folders
    texts = {text for text in texts if text.startswith(("SIMULATED^", "SIMULATED SITE", "2.25."))}
    assert len(texts) > 200
    leaks = []
    for path in demo.results.rglob("*"):
        if path.is_file() and not path.is_relative_to(demo.results / "downloads"):
            content = path.read_bytes().decode("latin-1")
            leaks += [(str(path), text) for text in texts if text in content]
    assert leaks == []
