"""The audit of the simulated study: nothing is lost without a reason, and every step can be traced."""

import getpass
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bids_checks import bids_errors

from rhvae_mri.io.files import read_json, read_tsv

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
    assert bids_errors(demo.results / dataset / f"cohort-{cohort}") == []


@pytest.mark.parametrize("cohort", COHORTS)
def test_the_links_of_the_derivatives_lead_to_their_datasets(demo, cohort):
    root = demo.results / f"derivatives/cohort-{cohort}"
    links = read_json(root / "dataset_description.json")["DatasetLinks"]
    assert set(links) == {"raw", "template"}
    assert (root / links["raw"]).resolve() == (demo.results / f"bids/cohort-{cohort}").resolve()
    assert (root / links["template"] / "template.nii.gz").is_file()


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
    assert Path.home() == Path("/") or str(Path.home()) not in texts
    for name in (platform.node(), getpass.getuser()):
        assert not re.search(rf"\b{re.escape(name)}\b", texts)


def test_decisions_of_the_auditor(demo, run_snakemake, tmp_path):
    """Nothing is preprocessed again but the visit that takes the place of another; all are signed."""
    folder = tmp_path / "study"
    study = demo.copy_to(folder)
    verdict = verdicts(demo, "ADNI")
    images = read_tsv(demo.results / "cohorts/cohort-ADNI/images.tsv")
    followed = images.loc[images["reason"] == "not the first usable visit", "participant_id"]
    excluded = verdict.query("status == 'passed' and participant_id not in @followed").iloc[0]
    kept = verdict.query("status == 'failed'").iloc[0]
    replaced = verdict[verdict["participant_id"].isin(followed)].iloc[0]
    decisions = folder / "exclude.tsv"
    lines = ["cohort\tparticipant_id\tsession_id\tdecision\treason\twho\tdate"]
    for row, decision in ((excluded, "exclude"), (kept, "keep"), (replaced, "replace")):
        name = f"{row['participant_id']}\t{row['session_id']}"
        lines.append(f"ADNI\t{name}\t{decision}\tghosting\tAB\t2026-01-31")
    decisions.write_text("\n".join(lines) + "\n")
    derivatives = folder / "results/derivatives/cohort-ADNI"
    before = {path: path.stat().st_mtime_ns for path in derivatives.rglob("*.nii.gz")}

    config = demo.config | {"exclude": "exclude.tsv"}
    result = run_snakemake(folder, config, "audit", snakefile=study.snakefile)
    assert result.returncode == 0, result.stdout
    after = {path: path.stat().st_mtime_ns for path in derivatives.rglob("*.nii.gz")}
    assert {path: after[path] for path in before} == before
    assert {path.name.split("_")[0] for path in after.keys() - before.keys()} == {replaced["participant_id"]}
    quality = read_tsv(folder / "results/quality/cohort-ADNI/quality.tsv").set_index("image_id")
    assert quality.loc[excluded["image_id"], "status"] == "failed"
    assert quality.loc[excluded["image_id"], "reason"] == "excluded by hand: ghosting (AB, 2026-01-31)"
    assert quality.loc[kept["image_id"], "status"] == "passed"
    assert replaced["image_id"] not in quality.index
    assert quality["participant_id"].eq(replaced["participant_id"]).sum() == 1
    attrition = read_tsv(folder / "results/audit/cohort-ADNI/attrition.tsv")
    signed = attrition[attrition["decided_by"] == "AB"].set_index("reason")["image_ids"]
    assert signed.to_dict() == {
        f"{verb} by hand: ghosting": row["image_id"]
        for verb, row in (("replaced", replaced), ("excluded", excluded), ("kept", kept))
    }
