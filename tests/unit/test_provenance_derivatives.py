"""The description of the derivatives, held against the BIDS validator."""

from pathlib import Path

import derived_study
import pytest
from bids_checks import bids_errors

from rhvae_mri.io.files import read_json
from rhvae_mri.provenance.derivatives import describe_derivatives

ROOT = Path(derived_study.ROOT)


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    derived_study.write_study()
    return tmp_path


def describe(simulated=True):
    describe_derivatives(
        "ADNI",
        derived_study.RAW,
        derived_study.TEMPLATE,
        ROOT / "dataset_description.json",
        ROOT / "README",
        ROOT / ".bidsignore",
        simulated=simulated,
    )
    return read_json(ROOT / "dataset_description.json")


def test_the_validator_accepts_derivatives_with_and_without_faults_and_looks_at_the_others(study):
    assert {"MISSING_DATASET_DESCRIPTION", "EMPTY_FILE"} <= {code for code, _ in bids_errors(ROOT)}
    # an auditor has replaced it since; nothing removes it from the disk
    (ROOT / "sub-ADNI10" / "ses-M000" / "anat" / "sub-ADNI10_ses-M000_desc-other_T1w.nii.gz").touch()
    describe()
    assert bids_errors(ROOT) == []
    next(ROOT.glob("sub-ADNI10/*/anat/*_desc-N4_T1w.json")).unlink()
    assert [code for code, _ in bids_errors(ROOT)] == ["SIDECAR_KEY_REQUIRED"]


def test_each_empty_file_is_ignored_by_name(study):
    describe()
    lines = [line for line in (ROOT / ".bidsignore").read_text().splitlines() if line.startswith("/")]
    assert len(lines) == len(derived_study.DERIVATIVES)
    assert all(line.startswith("/sub-ADNI20/ses-M012/anat/sub-ADNI20_ses-M012_") for line in lines)


def test_the_links_are_relative_and_every_source_resolves_through_them(study):
    content = describe()
    assert content["DatasetType"] == "derivative"
    assert content["DatasetLinks"] == {"raw": "../../bids/cohort-ADNI", "template": "../../template"}
    assert content["SourceDatasets"] == [{"URL": "../../bids/cohort-ADNI"}]
    assert content["GeneratedBy"][0]["Name"] == "rhvae-mri"
    links = content["DatasetLinks"] | {"": "."}
    found = derived_study.sidecars()
    assert len(found) == 4
    for sidecar in found.values():
        for uri in [*sidecar["Sources"], *filter(None, [sidecar.get("SpatialReference")])]:
            scheme, dataset, inside = uri.split(":")
            assert scheme == "bids"
            assert (ROOT / links[dataset] / inside).is_file(), uri


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_participants_are_called_simulated(study, simulated):
    name = describe(simulated=simulated)["Name"]
    readme = (ROOT / "README").read_text()
    assert name.startswith("Simulated ADNI" if simulated else "ADNI")
    assert ("SIMULATED" in readme) == simulated
    assert readme.startswith(name)
