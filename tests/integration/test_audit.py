"""The audit of the simulated study: nothing is lost without a reason, and every step can be traced."""

import getpass
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rhvae_mri.files import read_json, read_tsv

pytestmark = pytest.mark.demo

COHORTS = ("ADNI", "AIBL")


def verdicts(demo, cohort):
    """The verdict on every image of a cohort that was preprocessed, with the fault that was planted in it."""
    truth = read_tsv(demo.results / f"downloads/cohort-{cohort}/truth.tsv")
    quality = read_tsv(demo.results / f"quality/cohort-{cohort}/quality.tsv")
    return quality.merge(
        truth[["participant_id", "session_id", "fault"]], on=["participant_id", "session_id"]
    )


def test_every_planted_failure_is_flagged_and_hardly_any_good_image(demo):
    rows = verdicts(demo, "ADNI")
    good = rows["fault"] == "none"
    assert rows.loc[~good, "flags"].notna().all(), rows.loc[~good]
    flagged = rows.loc[good, "flags"].notna()
    assert flagged.mean() <= 0.02, rows.loc[good & rows["flags"].notna(), ["image_id", "flags"]]


@pytest.mark.parametrize("cohort", COHORTS)
def test_without_weights_the_deep_check_is_not_run_and_says_so(demo, cohort):
    deep = read_tsv(demo.results / f"quality/cohort-{cohort}/deep_quality.tsv")
    assert set(deep["status"]) == {"not run"}
    assert deep["pass_probability"].isna().all()
    assert set(verdicts(demo, cohort)["deep_quality"]) == {"not run"}


@pytest.mark.parametrize("cohort", COHORTS)
@pytest.mark.parametrize("dataset", ["bids", "derivatives"])
def test_the_bids_validator_finds_no_error(demo, dataset, cohort):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    result = subprocess.run(
        [validator, "--format", "json", demo.results / dataset / f"cohort-{cohort}"],
        capture_output=True,
        text=True,
        check=False,
    )
    issues = json.loads(result.stdout)["issues"]["issues"]
    errors = [(issue["code"], issue.get("location")) for issue in issues if issue["severity"] == "error"]
    assert not errors


@pytest.mark.parametrize("cohort", COHORTS)
def test_the_page_has_every_image_and_opens_from_a_folder(demo, cohort):
    page = demo.results / f"audit/cohort-{cohort}/index.html"
    text = page.read_text()
    for image_id in read_tsv(demo.results / f"cohorts/cohort-{cohort}/images.tsv")["image_id"]:
        assert image_id in text
    assert "simulated" in text.lower()
    # a namespace of SVG is a name, not an address that is opened
    assert not re.findall(r"https?://(?!www\.w3\.org/)[^\s\"'<]+", text)


@pytest.mark.parametrize("cohort", COHORTS)
def test_every_cropped_image_can_be_traced_to_its_raw_image(demo, cohort):
    files = read_tsv(demo.results / f"provenance/cohort-{cohort}/files.tsv")
    quality = read_tsv(demo.results / f"quality/cohort-{cohort}/quality.tsv")
    assert set(files["image_id"]) == set(quality["image_id"])
    steps = files.groupby("image_id")["step"].agg(set)
    assert steps.map(lambda found: {"raw", "desc-N4", "registered", "affine", "cropped"} <= found).all()
    assert files["sha256"].str.fullmatch("[0-9a-f]{64}").all()


def test_the_recorded_files_are_those_on_disk_and_a_changed_one_is_noticed(demo, root, tmp_path):
    library = root / "workflow"
    table = demo.results / "provenance/cohort-AIBL/files.tsv"

    def verify(folder):
        command = [sys.executable, "-m", "rhvae_mri.provenance.files", str(table), str(folder)]
        return subprocess.run(command, cwd=library, capture_output=True, text=True, check=False)

    assert verify(demo.folder).returncode == 0
    copy = tmp_path / "study"
    for path in read_tsv(table)["path"]:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(demo.folder / path, copy / path)
    changed = copy / read_tsv(table)["path"].iloc[-1]
    changed.write_bytes(changed.read_bytes() + b"\0")
    result = verify(copy)
    assert result.returncode == 1
    assert changed.name in result.stdout


def test_the_provenance_names_versions_and_no_person_or_host(demo):
    folder = demo.results / "provenance"
    software = read_json(folder / "software.json")
    assert {"snakemake", "clinica", "antspyx", "torch"} <= software["packages"].keys()
    texts = " ".join(file.read_text() for file in folder.glob("*.*"))
    assert str(Path.home()) not in texts
    for name in (platform.node(), getpass.getuser()):
        assert not re.search(rf"\b{re.escape(name)}\b", texts)


def test_a_decision_of_the_auditor_repeats_no_preprocessing(demo, run_snakemake, tmp_path):
    """Only what stands behind the verdict runs again."""
    row = verdicts(demo, "ADNI").query("status == 'passed'").iloc[0]
    decisions = tmp_path / "exclude.tsv"
    decisions.write_text(
        "cohort\tparticipant_id\tsession_id\tdecision\treason\twho\tdate\n"
        f"ADNI\t{row['participant_id']}\t{row['session_id']}\texclude\tghosting\tAB\t2026-01-31\n"
    )
    config = demo.config | {"exclude": str(decisions)}
    result = run_snakemake(demo.folder, config, "--dry-run", "--quiet", "rules", "--", "audit")
    run_snakemake(demo.folder, demo.config, "--dry-run", "--quiet", "all")  # puts the configuration back
    assert result.returncode == 0, result.stdout
    assert "check_quality" in result.stdout
    assert "correct_bias" not in result.stdout
    assert "register_to_mni" not in result.stdout
