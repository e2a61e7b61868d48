"""Conversion of simulated downloads by Clinica itself."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import handmade_cohorts as handmade
import nibabel
import numpy
import pandas
import pydicom
import pytest
from bids_checks import bids_errors

from rhvae_mri.convert import conversion
from rhvae_mri.convert.aibl_tables import read_aibl_tables, read_scan_dates
from rhvae_mri.convert.archive import Series
from rhvae_mri.convert.clinica import run_clinica
from rhvae_mri.convert.conversion import convert_to_bids
from rhvae_mri.convert.conversion_report import COLUMNS
from rhvae_mri.convert.staging import assign_sessions, choose_aibl_series
from rhvae_mri.convert.study_tables import Ledger
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv

COHORTS = {"ADNI": handmade.adni_cohort, "AIBL": handmade.aibl_cohort}

TRUNCATED = "_11_S{series}_I{image}.dcm: truncated: 255 of 510 bytes of pixels"
NO_IMAGE = "no image in the download"
REJECTED = "the study's quality check rejects it"

EXPECTED = {
    "ADNI": [
        ("sub-ADNI002S0001", "ses-M000", "converted", "I10001", None),
        ("sub-ADNI002S0001", "ses-M012", "converted", "I10002", None),
        ("sub-ADNI005S4002", "ses-M000", "passed over", "I10003", REJECTED),
        ("sub-ADNI005S4002", "ses-M000", "converted", "I10004", None),
        ("sub-ADNI009S6003", "ses-M000", "converted", "I10005", None),
        ("sub-ADNI010S4004", "ses-M000", "unreadable", "I10006", TRUNCATED.format(series=5006, image=10006)),
        ("sub-ADNI010S4004", "ses-M024", "converted", "I10007", None),
        ("sub-ADNI011S0005", None, "missing", None, NO_IMAGE),
        ("sub-ADNI012S2006", None, "missing", None, f"{NO_IMAGE}: the tables list I10008"),
        ("sub-ADNI013S4007", "ses-M000", "converted", "I10009", None),
        ("sub-ADNI013S4007", "ses-M012", "missing", None, "the tables list I10010"),
        ("sub-ADNI014S6008", "ses-M000", "passed over", "I10011", REJECTED),
        ("sub-ADNI033S10123", None, "missing", None, "ADNI4"),
    ],
    "AIBL": [
        ("sub-AIBL10", "ses-M000", "converted", "I10021", None),
        ("sub-AIBL10", "ses-M000", "passed over", "I10022", "I10021 of the same visit was taken"),
        ("sub-AIBL10", "ses-M018", "converted", "I10023", None),
        ("sub-AIBL207", "ses-M000", "converted", "I10024", None),
        ("sub-AIBL31", "ses-M000", "unreadable", "I10025", TRUNCATED.format(series=5025, image=10025)),
        ("sub-AIBL48", None, "missing", None, f"{NO_IMAGE}: the tables list scans"),
    ],
}


def convert(cohort, root, name, processes=2):
    """Convert the download under ``root``; return the BIDS folder and the report."""
    folder = root / name
    places = folder / f"cohort-{cohort}", folder / "conversion.tsv", folder / "tables.tsv"
    convert_to_bids(cohort, root / "images", root / "tables", *places, processes=processes)
    return places[:2]


@pytest.fixture(scope="module", params=COHORTS)
def converted(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    participants = COHORTS[request.param]()
    _, tables, _ = handmade.write_cohort(participants, root)
    if request.param == "ADNI":  # real tables of today have participants that Clinica 0.12 cannot read
        table = pandas.read_csv(tables / "ADNIMERGE.csv", dtype=str)
        new = table[-1:].assign(PTID="033_S_10123", RID="10123", COLPROT="ADNI4", ORIGPROT="ADNI4")
        pandas.concat([table, new]).to_csv(tables / "ADNIMERGE.csv", index=False)
    before = contents(root)
    # more processes than Clinica would accept
    bids, report = convert(request.param, root, "first", processes=multiprocessing.cpu_count() + 3)
    return request.param, participants, root, before, bids, report


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_report_says_what_became_of_every_promised_image(converted):
    cohort, *_, report = converted
    table = read_tsv(report)
    assert COLUMNS == ["cohort", "participant_id", "session_id", "status", "source", "reason"]
    assert table.columns.tolist() == COLUMNS
    assert set(table["cohort"]) == {cohort}
    rows = table.astype(object).where(table.notna(), None)[COLUMNS[1:]].itertuples(index=False, name=None)
    for (*place, source, reason), (*known, end, words) in zip(rows, EXPECTED[cohort], strict=True):
        assert place == known
        assert bool(source) == bool(end) and (source or "").endswith(end or "")
        assert bool(reason) == bool(words) and (words or "") in (reason or "")


def test_voxels_reach_bids_in_their_order(converted):
    """Clinica resets the affine, so the order of voxels is what ties an image to its truth."""
    cohort, participants, _, _, bids, report = converted
    sources = read_tsv(report).query("status == 'converted'").set_index(["participant_id", "session_id"])
    compared = 0
    for person in participants:
        for visit in person.visits:
            session = f"ses-M{visit.month:03d}"
            if (person.participant_id, session) not in sources.index:
                continue
            number = int(sources.loc[(person.participant_id, session), "source"].split("I")[-1])
            scan = next(each for each in visit.scans if each.image_uid == number)
            true = handmade.make_volume(person, visit, scan).volume
            name = f"{person.participant_id}_{session}_T1w.nii.gz"
            image = nibabel.load(bids / person.participant_id / session / "anat" / name)
            data = nibabel.as_closest_canonical(image).get_fdata()
            # Clinica writes integers with a slope: voxels are right to half a step of it
            step = numpy.ptp(true) / 65_535
            numpy.testing.assert_allclose(data, true, atol=step)
            assert numpy.corrcoef(data.ravel(), numpy.flip(true, 0).ravel())[0, 1] < 0.9
            numpy.testing.assert_allclose(image.header.get_zooms(), scan.voxel_size, rtol=1e-5)
            compared += 1
    assert compared == {"ADNI": 6, "AIBL": 3}[cohort]


def test_clinical_values_reach_bids(converted):
    cohort, *_, bids, _ = converted
    participants = read_tsv(bids / "participants.tsv").set_index("participant_id")
    name = {"ADNI": "sub-ADNI005S4002", "AIBL": "sub-AIBL207"}[cohort]
    assert participants.loc[name, "sex"] == "M"
    sessions = read_tsv(bids / name / f"{name}_sessions.tsv").set_index("session_id").loc["ses-M000"]
    assert sessions["diagnosis"] == "CN"
    assert int(sessions["MMSE" if cohort == "ADNI" else "MMS"]) == 29
    assert float(sessions["cdr_global"]) == 0
    assert float(sessions["age"]) == {"ADNI": 71.3, "AIBL": 71}[cohort]
    if cohort == "ADNI":
        person = read_tsv(bids / "sub-ADNI013S4007" / "sub-ADNI013S4007_sessions.tsv")
        assert person.set_index("session_id")["diagnosis"].to_dict() == {"ses-M000": "MCI", "ses-M012": "AD"}
        assert participants["diagnosis_sc"].to_dict()["sub-ADNI009S6003"] == "MCI"


def test_the_converted_dataset_is_valid_bids(converted):
    *_, bids, _ = converted
    assert bids_errors(bids) == []


def test_the_download_is_not_changed(converted):
    _, _, root, before, *_ = converted
    after = contents(root)
    assert {name: after[name] for name in before} == before


def test_a_second_conversion_is_identical(converted):
    cohort, _, root, _, bids, report = converted
    first = contents(bids)
    (root / "again").mkdir()
    # in place of an older folder, which must not shine through, and with one process
    (root / "again" / f"cohort-{cohort}").mkdir()
    (root / "again" / f"cohort-{cohort}" / "old.txt").touch()
    again, second_report = convert(cohort, root, "again", processes=1)
    assert contents(again) == first
    assert second_report.read_bytes() == report.read_bytes()
    names = [f"cohort-{cohort}", "conversion.tsv", "tables.tsv"]
    assert sorted(path.name for path in again.parent.iterdir()) == names
    assert second_report.with_name(names[2]).read_bytes() == report.with_name(names[2]).read_bytes()


def test_paths_in_the_converter_s_own_list_are_true(converted):
    cohort, _, root, _, bids, _ = converted
    name = {"ADNI": "conversion_info/v0/t1_paths.tsv", "AIBL": "conversion_info/t1_paths.tsv"}[cohort]
    table = read_tsv(bids / name)
    paths = table["Path" if cohort == "ADNI" else "Path_to_T1"].dropna()
    assert len(paths) == {"ADNI": 6, "AIBL": 3}[cohort]
    assert all((root / "images" / path).is_dir() and path.startswith(str(root)) for path in paths)


def test_an_aibl_series_that_dcm2niix_alone_finds_broken(tmp_path):
    """The headers are good, the compressed pixels are not: Clinica stops there and has to start again."""
    scans = [handmade.make_scan(n, sequence="MPRAGE_ADNI_confirmed") for n in (1, 2)]
    people = [
        handmade.make_participant(str(n), "AIBL", handmade.make_visit(0, "CN", scan))
        for n, scan in enumerate(scans, 10)
    ]
    handmade.write_cohort(people, tmp_path)
    for path in (tmp_path / "images" / "10").rglob("*.dcm"):
        image = pydicom.dcmread(path)
        image.PixelData = pydicom.encaps.encapsulate([b"not a compressed image" * 9])
        image.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
        image["PixelData"].VR = "OB"
        image.save_as(path)
    bids, report = convert("AIBL", tmp_path, "out")
    table = read_tsv(report).set_index("participant_id")
    assert table["status"].to_dict() == {"sub-AIBL10": "unreadable", "sub-AIBL11": "converted"}
    assert table.loc["sub-AIBL10", "reason"].startswith("dcm2niix could not convert it")
    assert [path.name for path in bids.glob("sub-*")] == ["sub-AIBL11"]


def test_a_converter_that_stops_leaves_nothing_behind(tmp_path, monkeypatch):
    images, tables, truth = handmade.write_cohort(handmade.adni_cohort()[:1], tmp_path)

    def run_on_nonsense(arguments, log_folder):
        path = arguments[-2] / "ADNIMERGE.csv"
        pandas.read_csv(path).assign(VISCODE="nonsense").to_csv(path, index=False)
        return run_clinica(arguments, log_folder)

    monkeypatch.setattr(conversion, "run_clinica", run_on_nonsense)
    with pytest.raises(StudyError, match="Clinica stopped with exit code 1") as caught:
        convert("ADNI", tmp_path, "out")
    assert "Cannot extract month from visit code nonsense" in str(caught.value)
    assert "clinica convert adni-to-bids" in str(caught.value)
    assert not list((tmp_path / "out").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {images.name, tables.name, truth.name, "out"}


def test_a_download_without_any_good_series_or_a_table(tmp_path):
    handmade.write_cohort(handmade.aibl_cohort()[2:3], tmp_path)
    with pytest.raises(StudyError, match="None of the 1 T1-weighted series") as caught:
        convert("AIBL", tmp_path, "out")
    assert "truncated: 255 of 510" in str(caught.value)
    for path in (tmp_path / "tables").glob("*mri*.csv"):
        path.unlink()
    with pytest.raises(StudyError, match=r"mrimeta_\*\.csv is missing"):
        convert("AIBL", tmp_path, "before any work")
    assert not (tmp_path / "before any work").exists()


def test_exit_code_and_output_of_clinica(tmp_path, capfd):
    run = run_clinica(["convert", "adni-to-bids", "-np", "0"], tmp_path / "log")
    assert run.exit_code == 2
    assert not Path("pypeline.log").exists()
    assert any("number of processes" in line for line in run.lines)
    assert capfd.readouterr().out.splitlines() == run.lines


def test_one_aibl_series_is_chosen_for_each_session(tmp_path):
    first, second, third = "2006-04-18", "2007-10-10", "2010-01-01"
    found = [
        ("10", "MPRAGE_SAG_ISO_p2", first),
        ("10", "MPRAGE_ADNI_confirmed_RPT", first),
        ("10", "MPRAGE_ADNI_confirmed", first),
        ("10", "MPRAGE_ADNI_confirmed", first),
        ("10", "MPRAGE_ADNI_confirmed_RPT", second),
        ("10", "MPRAGE_ADNI_confirmed", third),
        ("207", "MPRAGE_SAG_ISO_p2", second),
    ]
    series = [
        Series(subject, image, tmp_path / subject / sequence / date, (), sequence, date)
        for image, (subject, sequence, date) in enumerate(found)
    ]
    handmade.write_cohort(handmade.aibl_cohort(), tmp_path)
    promised = read_scan_dates(read_aibl_tables(tmp_path / "tables", Ledger()))
    assert promised == {
        ("10", "2006-04-18"): ("ses-M000", 3.0),
        ("10", "2007-10-10"): ("ses-M018", 1.5),
        ("207", "2006-04-18"): ("ses-M000", 3.0),
        ("31", "2006-04-18"): ("ses-M000", 3.0),
        ("48", "2006-04-18"): ("ses-M000", 3.0),
    }
    sessions = assign_sessions(series, promised)
    assert list(sessions.values()) == ["ses-M000"] * 4 + ["ses-M018", None, "ses-M000"]
    assert [each.image for each in choose_aibl_series(series, sessions)] == [2, 4, 6]
    # where the first is left out, a repetition is better than a series without date
    del series[2:4]
    assert [each.image for each in choose_aibl_series(series, sessions)] == [1, 4, 6]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_clinica_ends_with_the_job(tmp_path, number):
    """A stand-in for Clinica starts a worker and waits; both must be gone when the job is stopped."""
    package = tmp_path / "clinica"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cmdline.py").write_text(
        "import os, subprocess\n"
        "worker = subprocess.Popen(['sleep', '60'])\n"
        "print(os.getpid(), worker.pid, flush=True)\n"
        "worker.wait()\n"
    )
    program = (
        "import signal, pathlib; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from rhvae_mri.convert.clinica import run_clinica\n"
        "run_clinica(['convert'], pathlib.Path('log'))\n"
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    job = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    pids = [int(pid) for pid in job.stdout.readline().split()]
    assert all(is_running(pid) for pid in pids)
    job.send_signal(number)
    assert job.wait(20) != 0
    assert not any(is_running(pid) for pid in pids)


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
