"""What a DICOM header says of persons, places and times does not leave it."""

import gzip
import json
import re
import struct

import handmade_cohorts as handmade
import nibabel
import numpy
import pandas
import pytest
from nifti_files import encode_nifti
from planted_headers import DATES, MARK, TIME, find_planted, plant

from rhvae_mri.cohort.bids_tables import read_rows
from rhvae_mri.convert.bids_cleaning import clear_header, remove_personal_data
from rhvae_mri.convert.conversion import convert_to_bids
from rhvae_mri.io.files import read_json, read_tsv
from rhvae_mri.preprocess.crop import crop_to_template
from rhvae_mri.preprocess.grid import study_grid
from rhvae_mri.preprocess.images import record_faults

TEXTS = {"descrip": f"TE=3;Time={TIME}", "aux_file": MARK, "db_name": MARK, "intent_name": MARK}


def personal_image(path, kind=nibabel.Nifti1Image):
    """Write an image whose header is full of texts, with an extension; return its bytes."""
    image = kind(numpy.arange(4 * 5 * 6, dtype=numpy.int16).reshape(4, 5, 6), numpy.diag([2, 3, 4, 1]))
    for name, text in TEXTS.items():
        if name in image.header:  # NIfTI-2 has fewer
            image.header[name] = text
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", f"{MARK}: a name".encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return gzip.decompress(path.read_bytes())


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_texts_and_extensions_go_and_everything_else_stays(tmp_path, kind):
    path = tmp_path / "sub-1_T1w.nii.gz"
    before = personal_image(path, kind)
    old = nibabel.load(path)
    voxels, affine, offset = old.get_fdata(), old.affine, old.dataobj.offset
    clear_header(path)
    assert find_planted(tmp_path) == []
    new = nibabel.load(path)
    numpy.testing.assert_array_equal(new.get_fdata(), voxels)
    numpy.testing.assert_array_equal(new.affine, affine)
    after = gzip.decompress(path.read_bytes())
    assert len(after) == len(before)
    assert after[offset:] == before[offset:]
    for name in set(new.header.keys()) - TEXTS.keys():
        numpy.testing.assert_array_equal(new.header[name], old.header[name])
    assert not new.header.extensions
    assert path.read_bytes()[4:8] == bytes(4)  # no time of compression either


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", gzip.compress(b"no image"), encode_nifti()],
    # each process of the tests collects for itself: an identifier must not have the time of compression in it
    ids=["empty", "text", "compressed text", "image that is not compressed"],
)
def test_what_is_no_compressed_image_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "sub-1_T1w.nii.gz"
    path.write_bytes(content)
    clear_header(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("stated", "cells"),
    [
        *((stated, {}) for stated in (64, 3200, 0, -16, 20, 2**31 - 16)),
        (64, {"quatern_b": 1.0001}),
        (64, {"quatern_b": 1.0001, "sform_code": 0}),
        (64, {"vox_offset": 1e9}),
        (64, {"vox_offset": 0}),
    ],
)
def test_unusual_headers_lose_their_texts_too_and_stop_nothing(tmp_path, stated, cells):
    path, texts = tmp_path / "image.nii.gz", {name: text.encode() for name, text in TEXTS.items()}
    content = encode_nifti(**{"vox_offset": 416, **texts, **cells})
    has_extension = cells.get("vox_offset") != 0
    extension = (
        b"\1\0\0\0" + struct.pack("<ii", stated, 4) + MARK.encode().ljust(56) if has_extension else b""
    )
    path.write_bytes(gzip.compress(content[:348] + extension + content[352:]))
    clear_header(path)
    assert find_planted(tmp_path) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_json_files_keep_numbers_of_the_scanner_and_tables_lose_the_birth_date(tmp_path, processes):
    folder = tmp_path / "sub-1" / "ses-M000" / "anat"
    personal_image(folder / "sub-1_ses-M000_T1w.nii.gz")
    content = {"MagneticFieldStrength": 3.0, "EchoTime": MARK, "RepetitionTime": True, "PatientWeight": 80}
    content |= {"InstitutionName": MARK, "AcquisitionTime": TIME}
    sidecar = folder / "sub-1_ses-M000_T1w.json"
    sidecar.write_text(json.dumps(content))
    table = tmp_path / "participants.tsv"
    table.write_text(f"participant_id\tdate_of_birth\tsex\nsub-1\t{DATES['birth']}\tF\n")
    remove_personal_data(tmp_path, processes)
    assert read_json(sidecar) == {"MagneticFieldStrength": 3.0}
    assert table.read_text() == "participant_id\tsex\nsub-1\tF\n"
    assert find_planted(tmp_path) == []


def test_the_search_finds_what_it_is_for(tmp_path):
    plain = [MARK.lower(), "1933-05-27", "05/27/1933", "2001:09:11", "81513.31", "08:15:13"]
    for number, text in enumerate(plain):
        (tmp_path / f"{number}.txt").write_bytes(b"\xff" + text.encode())
        (tmp_path / f"{number}.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / f"{MARK}.txt").touch()
    assert len(find_planted(tmp_path)) == 2 * len(plain) + 1
    assert find_planted(tmp_path, tmp_path) == []


def plant_births(tables, generation):
    """Give participants birth dates, one of them in a form that is not understood."""
    for path in tables.glob("*[pP][tT][dD][eE][mM][oO][gG]*"):
        table = pandas.read_csv(path, dtype=str)
        forms = [f"{DATES['birth'][4:6]}/{DATES['birth'][6:]}/{DATES['birth'][:4]}"] * len(table)
        forms[0] = f"{MARK} {DATES['birth'][:4]}" if generation == 2026 else MARK
        table.assign(PTDOB=forms).drop(columns="PTDOBYY", errors="ignore").to_csv(path, index=False)


@pytest.mark.parametrize(("cohort", "generation"), [("ADNI", 2018), ("ADNI", 2026), ("AIBL", 2018)])
def test_no_birth_and_nothing_of_a_header_but_its_physics_reaches_the_dataset_or_the_log(
    tmp_path, capfd, cohort, generation
):
    participants = {"ADNI": handmade.adni_cohort, "AIBL": handmade.aibl_cohort}[cohort]()[:4]
    images, tables, _ = handmade.write_cohort(participants, tmp_path / "download", generation)
    plant_births(tables, generation)
    spoiled = [path for path in images.rglob("*.dcm") if path.stat().st_size < 1100]
    for path in spoiled:  # pydicom cannot write them again
        path.unlink()
    assert plant(images) > 30
    # one more series fails in dcm2niix, whose words are in the log
    damaged = sorted(images.glob("*/*/*/I*"))[-1]
    for path in damaged.glob("*.dcm"):
        content = path.read_bytes()
        path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"))
    bids, report, record = (tmp_path / "out" / name for name in ("bids", "report.tsv", "tables.tsv"))
    convert_to_bids(cohort, images, tables, bids, report, record)
    assert (read_tsv(report)["status"] == "converted").sum() >= 2
    printed = capfd.readouterr()
    (tmp_path / "out" / "log.txt").write_text(printed.out + printed.err)
    assert find_planted(tmp_path / "out") == []
    births = re.compile(rf"(?<![\d.]){DATES['birth'][:4]}(?![\d.])")
    assert not [path for path in (tmp_path / "out").rglob("*.tsv") if births.search(path.read_text())]
    if (cohort, generation) != ("ADNI", 2018):  # where there are dates of birth at all
        assert "(not shown)" in record.read_text()
    # visits are told apart by the dates of the study tables, which stay
    sessions = next(iter(sorted(bids.glob("sub-*/*_sessions.tsv"))))
    assert read_rows(sessions)[0]["examination_date"]


def test_the_header_of_a_users_own_image_is_not_copied_into_derivatives(tmp_path):
    source = tmp_path / "in" / "sub-1_desc-N4_T1w.nii.gz"
    shape, affine = study_grid(4.0)
    image = nibabel.Nifti1Image(numpy.random.default_rng(0).random(shape, numpy.float32), affine)
    for name, text in TEXTS.items():
        image.header[name] = text
    source.parent.mkdir()
    nibabel.save(image, source)
    target = tmp_path / "out" / "sub-1_space-MNI_desc-Crop_T1w.nii.gz"
    with record_faults(target):
        crop_to_template(source, target, 4.0)
    assert nibabel.load(target).shape
    assert find_planted(tmp_path / "out") == []
    assert find_planted(tmp_path / "in")
