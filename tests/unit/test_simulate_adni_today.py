"""A simulated ADNI download of today: its tables, its folders, and what it shares with that of 2018."""

import csv
import datetime
import re
import subprocess
import sys
from xml.etree import ElementTree

import handmade_cohorts as handmade
import nibabel
import numpy
import pandas
import pydicom
import pytest

from rhvae_mri.io.files import read_tsv
from rhvae_mri.simulate import adni, adni_today
from rhvae_mri.simulate.adni_today import (
    COLLECTION,
    PROCESSED_DESCRIPTION,
    fourth_phase,
    listed_images,
    rename_sequences,
)
from rhvae_mri.simulate.participants import GROUPS, draw_cohort

VISIT = ["PHASE", "PTID", "RID", "VISCODE", "VISCODE2"]
PROCESSED_FOLDER = "MPR__GradWarp__B1_Correction__N3__Scaled"
ADNI4 = "033_S_10123"


def read_tables(folder):
    """All values as texts, under the names without prefix and date."""
    return {
        re.sub(r"^All_Subjects_|_28Nov2026$", "", path.stem): pandas.read_csv(
            path, dtype=str, keep_default_na=False
        )
        for path in folder.glob("*.csv")
    }


@pytest.fixture(scope="module")
def handmade_download(tmp_path_factory):
    root = tmp_path_factory.mktemp("today")
    images, tables, truth = handmade.write_cohort(handmade.adni_cohort(), root, 2026)
    return images, read_tables(tables), read_tsv(truth, ("image_uid",))


@pytest.fixture(scope="module")
def drawn():
    """A larger cohort: its participants, and its tables in both forms."""
    participants = rename_sequences(draw_cohort("ADNI", dict.fromkeys(GROUPS, 12), 4.0, 7))
    today = adni_today.study_tables(participants, 5)
    names = {re.sub(r"^All_Subjects_|_28Nov2026\.csv$", "", name): table for name, table in today.items()}
    return participants, adni.study_tables(participants, 5), names


def test_names_columns_and_values_of_the_tables_are_as_loni_writes_them(tmp_path):
    _, folder, _ = handmade.write_cohort(handmade.adni_cohort(), tmp_path, 2026)
    tables = read_tables(folder)
    assert set(tables["DXSUM"]["DIAGNOSIS"]) == {"1.0", "2.0", "3.0"}
    assert set(tables["APOERES"]["GENOTYPE"]) == {"3/4"}
    assert tables["All_Images"]["image_date"].str.fullmatch(r"\d{4}-\d\d-\d\d").all()
    assert tables["PTDEMOG"]["PTDOB"].str.fullmatch(r"\d\d/\d{4}").all()
    columns = {path.stem: path.read_text().splitlines()[0].split(",") for path in folder.glob("*.csv")}
    assert columns == {
        "All_Subjects_REGISTRY_28Nov2026": [*VISIT, "VISTYPE", "RGCONDCT", "EXAMDATE", "SITEID"],
        "All_Subjects_PTDEMOG_28Nov2026": [
            *(*VISIT, "VISDATE", "PTGENDER", "PTDOB", "PTDOBYY", "PTEDUCAT", "PTMARRY", "PTETHCAT"),
        ],
        "All_Subjects_DXSUM_28Nov2026": [*VISIT, "EXAMDATE", "DIAGNOSIS"],
        "All_Subjects_MMSE_28Nov2026": [*VISIT, "VISDATE", "MMSCORE"],
        "All_Subjects_CDR_28Nov2026": [*VISIT, "VISDATE", "CDGLOBAL"],
        "APOERES_28Nov2026": [*VISIT[:4], "APTESTDT", "GENOTYPE"],
        "MRIPROT_28Nov2026": [*VISIT, "EXAMDATE", "LONIUID", "PASS"],
        "MAYOADIRL_MRI_IMAGEQC_05_07_15_28Nov2026": [
            *("RID", "loni_study", "loni_series", "loni_image", "series_date", "series_type"),
            *("series_description", "series_quality", "series_selected", "field_strength"),
        ],
        "All_Subjects_All_Images_28Nov2026": [
            *("image_id", "subject_id", "phase", "study_id"),
            *("image_type", "image_date", "image_description"),
        ],
        "All_Subjects_Manifest_28Nov2026": ["image_id", "series_id"],
    }


def test_both_forms_have_the_same_participants_and_visits(drawn):
    participants, old, today = drawn
    merge = old["ADNIMERGE.csv"].set_index(["PTID", "VISCODE"])
    assert len(participants) == 96

    def values(name, column):
        table = today[name][today[name]["PHASE"] != "ADNI4"]
        return table[table["VISCODE2"].isin(["bl", "m12"])].set_index(["PTID", "VISCODE2"])[column]

    def screening(name, column):
        table = today[name][today[name]["PHASE"] != "ADNI4"]
        return table[table["VISCODE2"] == "sc"].set_index("PTID")[column]

    first = merge.xs("bl", level="VISCODE")
    assert values("REGISTRY", "EXAMDATE").to_dict() == merge["EXAMDATE"].to_dict()
    assert screening("REGISTRY", "SITEID").to_dict() == first["SITE"].to_dict()
    phases = today["REGISTRY"].query("VISCODE2 == 'bl'").set_index("PTID")["PHASE"]
    assert phases.drop(ADNI4).to_dict() == first["COLPROT"].to_dict()
    sexes = screening("PTDEMOG", "PTGENDER").map({1: "Male", 2: "Female"})
    assert sexes.to_dict() == first["PTGENDER"].to_dict()
    assert screening("PTDEMOG", "PTEDUCAT").to_dict() == first["PTEDUCAT"].to_dict()
    married = screening("PTDEMOG", "PTMARRY").map({1: "Married", 2: "Widowed", 3: "Divorced"})
    assert married.to_dict() == first["PTMARRY"].to_dict()
    alleles = today["APOERES"].set_index("PTID")["GENOTYPE"].drop(ADNI4).str.count("4")
    assert alleles.to_dict() == first["APOE4"].to_dict()

    codes = {"CN": 1.0, "MCI": 2.0, "Dementia": 3.0}
    for code, diagnoses in (("bl", screening("DXSUM", "DIAGNOSIS")), ("m12", None)):
        expected = merge["DX"].map(codes).xs(code, level="VISCODE")
        found = values("DXSUM", "DIAGNOSIS").xs(code, level="VISCODE2") if diagnoses is None else diagnoses
        assert found.to_dict() == expected.to_dict()
    assert screening("MMSE", "MMSCORE").to_dict() == first["MMSE"].to_dict()
    for (subject, code), score in values("MMSE", "MMSCORE").items():
        assert score == merge.loc[(subject, code), "MMSE"]
    old_cdr = old["CDR.csv"].set_index(["PTID", "VISCODE2"])["CDGLOBAL"]
    assert values("CDR", "CDGLOBAL").to_dict() == old_cdr.to_dict()
    assert screening("CDR", "CDGLOBAL").to_dict() == old_cdr.xs("bl", level="VISCODE2").to_dict()

    quality = ["RID", "EXAMDATE", "LONIUID", "PASS"]
    pandas.testing.assert_frame_equal(today["MRIPROT"][quality], old["MRIQUALITY.csv"][quality])
    name = "MAYOADIRL_MRI_IMAGEQC_05_07_15"
    pandas.testing.assert_frame_equal(today[name], old[f"{name}.csv"])


def test_both_forms_list_the_same_originals(drawn):
    _, old, today = drawn
    images = today["All_Images"].merge(today["Manifest"], on="image_id", validate="1:1")
    originals = images[(images["image_type"] == "Original") & (images["phase"] != "ADNI 4")]
    names = {"subject_id": "SubjectID", "study_id": "StudyID", "series_id": "SeriesID"}
    names |= {"image_id": "ImageUID", "image_date": "ScanDate", "image_description": "Sequence"}
    originals = originals.rename(columns=names)[list(names.values())].reset_index(drop=True)
    pandas.testing.assert_frame_equal(originals, old["MPRAGEMETA.csv"][list(names.values())])


def test_the_age_follows_from_the_month_of_birth(drawn):
    participants, _, today = drawn
    demography = today["PTDEMOG"].set_index("PTID")
    for person in [*participants, fourth_phase(participants).newcomer]:
        month, year = demography.loc[person.subject, "PTDOB"].split("/")
        assert len(month) == 2
        assert int(year) == demography.loc[person.subject, "PTDOBYY"]
        born = datetime.date(int(year), int(month), 15)
        age = (person.visits[0].date - born).days / 365.25
        assert age == pytest.approx(person.age, abs=0.1)


def test_the_codes_of_visits_are_those_of_the_phase(drawn):
    _, _, today = drawn
    registry = today["REGISTRY"]
    pairs = {
        (row.PHASE, row.VISCODE, row.VISCODE2)
        for row in registry.itertuples()
        if row.VISCODE2 in ("sc", "scmri", "bl", "m12")
    }
    assert pairs >= {("ADNI1", "sc", "sc"), ("ADNI1", "bl", "bl"), ("ADNI1", "m12", "m12")}
    assert pairs >= {("ADNIGO", "scmri", "scmri"), ("ADNI2", "v01", "sc"), ("ADNI2", "v02", "scmri")}
    assert pairs >= {("ADNI2", "v03", "bl"), ("ADNI2", "v11", "m12")}
    assert pairs >= {("ADNI3", "sc", "sc"), ("ADNI3", "bl", "bl"), ("ADNI3", "y1", "m12")}
    assert pairs >= {("ADNI4", "4_sc", "sc"), ("ADNI4", "4_bl", "bl")}
    assert set(registry["VISCODE2"].dropna()) >= {"nv", "uns1", "f"}
    assert registry["VISCODE2"].isna().any()
    assert set(registry[registry["EXAMDATE"].isna()]["VISCODE2"]) == {"nv"}
    assert "nv" in set(today["CDR"]["VISCODE2"])
    assert not today["DXSUM"].duplicated(["PTID", "VISCODE2"]).any()


@pytest.mark.parametrize(("month", "code"), [(3, "v04"), (6, "v05"), (12, "v11"), (18, "v12"), (48, "v41")])
def test_adni_2_numbers_its_visits(month, code):
    assert adni_today.code_in_phase("ADNI2", adni.visit_code(month)) == code


def test_first_diagnoses_and_scores_are_where_the_phase_has_them(drawn):
    _, _, today = drawn
    codes = {
        name: today[name].groupby("PHASE")["VISCODE2"].agg(lambda column: set(column) & {"sc", "scmri", "bl"})
        for name in ("DXSUM", "MMSE", "CDR")
    }
    assert codes["DXSUM"]["ADNI3"] == {"sc"}
    assert codes["DXSUM"]["ADNI1"] == codes["CDR"]["ADNI3"] == {"sc", "bl"}
    has_two = today["MMSE"].query("VISCODE2 == 'bl'")["PTID"].nunique()
    assert 0 < has_two < today["MMSE"]["PTID"].nunique()


def test_processed_copies_are_listed_and_some_are_there(drawn):
    participants, _, _ = drawn
    images = pandas.DataFrame(listed_images(participants))
    processed = images["image_type"] == "Pre-processed"
    assert set(images.loc[processed, "Description"]) == {PROCESSED_DESCRIPTION}
    assert {"ADNI 1", "ADNI 2"} <= set(images.loc[processed, "phase"]) <= {"ADNI 1", "ADNI GO", "ADNI 2"}
    assert 0.15 < images.loc[processed, "on_disk"].mean() < 0.5
    assert images["image_id"].is_unique
    assert images.loc[~processed, "series_id"].is_unique
    assert set(images.loc[processed, "series_id"]) <= set(images.loc[~processed, "series_id"])
    assert set(images.loc[~processed, "image_type"]) == {"Original"}


def test_the_sequences_of_adni_3_have_several_names(drawn):
    participants, _, _ = drawn
    names = {
        scan.sequence.removesuffix(" REPEAT")
        for person in participants
        for _, scan in person.scans()
        if person.phase == "ADNI3"
    }
    assert names == {
        "Accelerated Sagittal MPRAGE",
        "Accelerated Sag IR-FSPGR",
        "CS/HS Sagittal MPRAGE (MSV22)",
    }


def test_the_folders_hold_what_the_collection_lists(handmade_download):
    images, tables, _ = handmade_download
    with (images / COLLECTION).open(encoding="utf-8") as file:
        rows = {row["Image Data ID"]: row for row in csv.DictReader(file)}
    files = [path for pattern in ("*.dcm", "*.nii") for path in images.rglob(pattern)]
    found = {}
    for path in files:
        subject, sequence, time, leaf, name = path.relative_to(images).parts
        series, image = re.fullmatch(
            rf"ADNI_{subject}_MR_{sequence}_(?:br_raw|Br)_\d{{17}}(?:_\d+)?_(S\d+)_(I\d+)\.(?:dcm|nii)", name
        ).groups()
        assert leaf in (series, image)
        found[image] = (subject, time[:10], "NiFTI" if path.suffix == ".nii" else "DCM")
    assert found.keys() == rows.keys()
    for number, (subject, date, kind) in found.items():
        row = rows[number]
        year, month, day = date.split("-")
        acquired = f"{int(month)}/{int(day)}/{year}"
        assert (row["Subject"], row["Acq Date"], row["Format"]) == (subject, acquired, kind)
    listed = tables["All_Images"].set_index("image_id")
    assert {number[1:] for number in rows} < set(listed.index)
    assert all(
        listed.loc[number[1:], "image_description"] == row["Description"] for number, row in rows.items()
    )
    assert rows["I10004"]["Visit"] == "v02"
    assert {path.parent.name[0] for path in files} == {"I", "S"}


def test_metadata_lie_at_the_root_and_beside_series(handmade_download):
    images, _, _ = handmade_download
    files = list(images.rglob("*.xml"))
    assert {path.parent == images for path in files} == {True, False}
    for path in files:
        text = path.read_text()
        subject = ElementTree.fromstring(text).findtext("project/subject/subjectIdentifier")
        assert path.name.startswith(f"ADNI_{subject}_")
        assert "SIMULATED" in text


def test_a_processed_copy_has_the_voxels_of_its_series(handmade_download, tmp_path):
    images, _, truth = handmade_download
    (path,) = images.rglob("*.nii")
    assert path.relative_to(images).parts[:2] == ("005_S_4002", PROCESSED_FOLDER)
    assert path.parent.name == "I210004"
    # the conversion takes the copy
    assert "210004" in set(truth["image_uid"])
    assert "10004" not in set(truth["image_uid"])
    (slice_1,) = images.glob("005_S_4002/*/*/*/*_1_S5004_I10004.dcm")
    command = [sys.executable, "-m", "dcm2niix", "-b", "n", "-f", "series", "-o", tmp_path, slice_1.parent]
    subprocess.run(command, check=True, capture_output=True)
    original, copy = (
        nibabel.as_closest_canonical(nibabel.load(each)) for each in (tmp_path / "series.nii", path)
    )
    numpy.testing.assert_array_equal(copy.get_fdata(), original.get_fdata())
    numpy.testing.assert_allclose(copy.affine, original.affine, atol=1e-3)
    numpy.testing.assert_allclose(copy.header.get_zooms(), original.header.get_zooms(), rtol=1e-5)
    assert b"SIMULATED" in copy.header["descrip"].tobytes()


def test_adni_4_is_in_the_download_but_not_in_the_truth(handmade_download):
    images, tables, truth = handmade_download
    registry = tables["REGISTRY"][tables["REGISTRY"]["PHASE"] == "ADNI4"]
    assert set(registry["PTID"]) == {ADNI4, "009_S_6003"}
    rollover = registry[registry["PTID"] == "009_S_6003"]
    assert rollover[["VISCODE", "VISCODE2", "EXAMDATE"]].to_numpy().tolist() == [
        ["4_init", "m204", "2023-04-18"]
    ]
    for name in ("PTDEMOG", "DXSUM", "MMSE", "CDR", "APOERES"):
        assert ADNI4 in set(tables[name]["PTID"])
    # Clinica looks quality up by the last four digits of the subject
    assert "10123" not in {*tables["MRIPROT"]["RID"], *tables["MAYOADIRL_MRI_IMAGEQC_05_07_15"]["RID"]}
    listed = tables["All_Images"].query("phase == 'ADNI 4'").set_index("subject_id")["image_date"]
    assert listed.index.tolist() == ["009_S_6003", ADNI4]
    for subject, date in listed.items():
        (folder,) = (images / subject).glob(f"*/{date}*/*")
        first = pydicom.dcmread(next(folder.glob("*_1_S*.dcm")))
        assert first.PatientID == subject
        assert first.StudyDate == date.replace("-", "")
    assert ADNI4 not in set(truth["subject"])
    assert "ses-M204" not in set(truth["session_id"])


def test_the_truth_of_both_forms_differs_in_processed_copies_alone(handmade_download, tmp_path):
    _, _, today = handmade_download
    *_, path = handmade.write_cohort(handmade.adni_cohort(), tmp_path)
    old = read_tsv(path, ("image_uid",))
    pandas.testing.assert_frame_equal(today.drop(columns="image_uid"), old.drop(columns="image_uid"))
    differs = today["image_uid"].fillna("") != old["image_uid"].fillna("")
    assert old["image_uid"][differs].tolist() == ["10004"]


def test_a_cohort_without_good_scans_has_nobody_in_adni_4():
    without_image = handmade.adni_cohort()[4:5]
    assert fourth_phase(without_image) is None
    tables = adni_today.study_tables(without_image, 1)
    assert tables["All_Subjects_All_Images_28Nov2026.csv"].empty
    assert set(tables["All_Subjects_REGISTRY_28Nov2026.csv"]["PHASE"]) == {"ADNI1"}
