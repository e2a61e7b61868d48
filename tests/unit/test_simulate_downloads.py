"""The layout, the tables and the truth of simulated downloads."""

import datetime
import re
from pathlib import Path

import handmade_cohorts as handmade
import pandas
import pytest

from rhvae_mri.convert.preflight import check_downloads
from rhvae_mri.io.files import read_tsv
from rhvae_mri.simulate import adni, aibl
from rhvae_mri.simulate.adni_today import COLLECTION
from rhvae_mri.simulate.download import write_download
from rhvae_mri.simulate.participants import draw_cohort
from rhvae_mri.simulate.records import folder_name, series_place
from rhvae_mri.simulate.truth import chosen_scan, truth_table

COHORTS = {"ADNI": handmade.adni_cohort, "AIBL": handmade.aibl_cohort}
FORMS_OF_2018 = [("ADNI", 2018), ("AIBL", 2018)]
FORMS = [*FORMS_OF_2018, ("ADNI", 2026)]


@pytest.fixture(scope="module", params=FORMS)
def download(request, tmp_path_factory):
    cohort, generation = request.param
    root = tmp_path_factory.mktemp(cohort)
    participants = COHORTS[cohort]()
    return request.param, participants, *handmade.write_cohort(participants, root, generation)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_preflight_accepts_it(download):
    (cohort, _), _, images, tables, _ = download
    check_downloads([(cohort, images, tables)])


@pytest.mark.parametrize("download", FORMS_OF_2018, indirect=True)
def test_the_folders_are_loni_s(download):
    (cohort, _), participants, images, _, _ = download
    scans = [scan for person in participants for _, scan in person.scans()]
    numbers = {path.parent.name for path in images.rglob("*.dcm")}
    assert numbers == {f"I{scan.image_uid}" for scan in scans if scan.on_disk}
    subject = r"\d{3}_S_\d{4}" if cohort == "ADNI" else r"\d+"
    pattern = re.compile(
        rf"({subject})/([\w-]+)/(\d{{4}}-\d\d-\d\d)_\d\d_\d\d_\d\d\.0/I(\d+)/"
        rf"{cohort}_\1_MR_\2_br_raw_\d{{17}}_\d+_S\d+_I\4\.dcm"
    )
    files = [path.relative_to(images).as_posix() for path in images.rglob("*.dcm")]
    assert all(pattern.fullmatch(file) for file in files)
    assert all("SIMULATED" in (folder / "README.txt").read_text() for folder in download[2:4])


def test_it_follows_from_its_participants_alone(download, tmp_path):
    (_, generation), participants, images, tables, truth = download
    # a participant more or less changes nothing of the others
    again = handmade.write_cohort(participants[:-1], tmp_path, generation)
    shared = contents(again[0])
    # the list of all images
    shared.pop(Path(COLLECTION), None)
    assert {name: contents(images)[name] for name in shared} == shared
    fewer, all_rows = (read_tsv(path, ("subject",)) for path in (again[2], truth))
    kept = all_rows[all_rows["subject"] != participants[-1].subject]
    pandas.testing.assert_frame_equal(
        fewer.reset_index(drop=True), kept.reset_index(drop=True), check_dtype=False
    )
    handmade.write_cohort(participants, tmp_path, generation)
    assert contents(tmp_path / "images") == contents(images)
    assert contents(tmp_path / "tables") == contents(tables)


def test_nothing_is_left_of_a_download_that_fails(tmp_path):
    def render(person, visit, scan):
        if scan.image_uid == 10_003:
            raise RuntimeError("stopped")
        return handmade.make_volume(person, visit, scan)

    places = [tmp_path / name for name in ("images", "tables", "truth.tsv")]
    with pytest.raises(RuntimeError, match="stopped"):
        write_download(handmade.adni_cohort(), render, 1, *places, progress=False)
    assert not list(tmp_path.iterdir())


def test_truth_of_adni():
    participants = handmade.adni_cohort()
    rendered = {
        scan.image_uid: handmade.make_volume(person, visit, scan)
        for person in participants
        for visit, scan in person.scans()
    }
    truth = truth_table(participants, rendered)
    fates = {
        (row.participant_id, row.session_id): (row.fault, row.expected_fate) for row in truth.itertuples()
    }
    assert fates == {
        ("sub-ADNI002S0001", "ses-M000"): ("none", "kept"),
        ("sub-ADNI002S0001", "ses-M012"): ("none", "not baseline"),
        ("sub-ADNI005S4002", "ses-M000"): ("none", "kept"),
        ("sub-ADNI009S6003", "ses-M000"): ("none", "diagnosis not AD/CN"),
        ("sub-ADNI010S4004", "ses-M000"): ("truncated_series", "conversion failed"),
        ("sub-ADNI010S4004", "ses-M024"): ("none", "kept"),
        ("sub-ADNI011S0005", None): ("no_image", "no image"),
        ("sub-ADNI012S2006", None): ("no_image", "no image"),
        ("sub-ADNI013S4007", "ses-M000"): ("none", "diagnosis changes"),
        ("sub-ADNI013S4007", "ses-M012"): ("no_image", "no image"),
        ("sub-ADNI014S6008", None): ("no_image", "no image"),
    }
    row = truth.set_index("image_uid").loc["10004"]
    true = rendered[10_004].template_to_voxel
    assert [row[f"affine_{i}{j}"] for i in range(3) for j in range(4)] == true[:3].ravel().tolist()
    assert [row[f"bias_{k}"] for k in range(4)] == [0, 1, 2, 3]
    assert (row["ventricle_ml"], row["hippocampus_ml"], row["sex"], row["site"]) == (30, 6, "M", 5)


def test_truth_of_aibl_knows_what_its_converted_tables_know():
    truth = truth_table(handmade.aibl_cohort(), {}).set_index(["participant_id", "session_id"])
    # the diagnosis changes at a visit without image, which the converted tables do not have
    assert truth.loc[("sub-AIBL10", "ses-M000"), ["image_uid", "expected_fate"]].tolist() == ["10021", "kept"]
    assert truth.loc[("sub-AIBL10", "ses-M018"), "expected_fate"] == "not baseline"
    assert truth.loc[("sub-AIBL31", "ses-M000"), "expected_fate"] == "conversion failed"


def test_a_readable_repetition_takes_the_place_of_a_truncated_aibl_series():
    first = handmade.make_scan(1, fault="truncated_series", sequence="MPRAGE_ADNI_confirmed")
    repeat = handmade.make_scan(2, sequence="MPRAGE_ADNI_confirmed_REPEAT")
    visit = handmade.make_visit(0, "AD", first, repeat)
    assert chosen_scan(handmade.make_participant("10", "AIBL", visit), visit) == repeat
    # in ADNI the quality tables choose, whatever the files are like
    assert chosen_scan(handmade.make_participant("002_S_0001", "ADNI2", visit), visit) == first


def test_field_strength_decides_as_in_the_phase():
    low, high = handmade.make_scan(1, field_strength=1.5), handmade.make_scan(2)
    visit = handmade.make_visit(0, "CN", high, low)
    assert chosen_scan(handmade.make_participant("002_S_0001", "ADNI1", visit), visit) == low
    assert chosen_scan(handmade.make_participant("002_S_0001", "ADNI2", visit), visit) == high


def test_adni_tables_agree_with_the_participants():
    participants = handmade.adni_cohort()
    tables = adni.study_tables(participants, 1)
    merge = tables["ADNIMERGE.csv"].set_index(["PTID", "VISCODE"])
    assert merge.index.tolist() == [
        (person.subject, adni.visit_code(visit.month)) for person in participants for visit in person.visits
    ]
    row = merge.loc[("013_S_4007", "m12")]
    assert (row["DX"], row["DX_bl"], row["MMSE"], row["MMSE_bl"]) == ("Dementia", "LMCI", 23, 27)
    assert row["EXAMDATE"] - row["EXAMDATE_bl"] == datetime.timedelta(days=360)
    scans = tables["MPRAGEMETA.csv"]
    # scans that are not on disk are in the tables
    assert {10_008, 10_010} <= set(scans["ImageUID"])
    quality = tables["MAYOADIRL_MRI_IMAGEQC_05_07_15.csv"].set_index("loni_image")
    assert quality.loc["I10003", ["series_quality", "series_selected"]].tolist() == [4, 0]
    assert quality.loc["I10004", "series_selected"] == 1
    assert tables["MRIQUALITY.csv"]["LONIUID"].tolist() == ["S5001", "S5002"]
    diagnoses = tables["DXSUM_PDXCONV_ADNIALL.csv"]
    assert diagnoses.duplicated(["PTID", "VISCODE2"]).any()
    boxes = tables["ADNIMERGE.csv"].groupby("DX")["CDRSB"]
    assert boxes.max()["CN"] == 0
    assert boxes.min()["Dementia"] >= 4.5


def test_names_and_columns_of_the_tables_of_2018(tmp_path):
    _, tables, _ = handmade.write_cohort(handmade.adni_cohort(), tmp_path)
    columns = {path.stem: path.read_text().splitlines()[0].split(",") for path in tables.glob("*.csv")}
    merge = columns.pop("ADNIMERGE")
    assert merge[:8] == ["RID", "COLPROT", "ORIGPROT", "PTID", "SITE", "VISCODE", "EXAMDATE", "DX_bl"]
    assert len(merge) == 68
    dated = ["RID", "PTID", "VISCODE", "VISCODE2", "EXAMDATE"]
    assert columns == {
        "DXSUM_PDXCONV_ADNIALL": ["Phase", *dated[:2], "SITEID", *dated[2:], "DIAGNOSIS"],
        "CDR": ["Phase", *dated, "CDGLOBAL"],
        "APOERES": ["Phase", "RID", "VISCODE", "APTESTDT", "APGEN1", "APGEN2"],
        "MPRAGEMETA": [
            *("Orig/Proc", "SubjectID", "Visit", "MagStrength", "Sequence"),
            *("ScanDate", "StudyID", "SeriesID", "ImageUID"),
        ],
        "MRIQUALITY": ["RID", "VISCODE", "EXAMDATE", "LONIUID", "PASS"],
        "MAYOADIRL_MRI_IMAGEQC_05_07_15": [
            *("RID", "loni_study", "loni_series", "loni_image", "series_date", "series_type"),
            *("series_description", "series_quality", "series_selected", "field_strength"),
        ],
    }


@pytest.mark.parametrize(
    ("phase", "month", "name"),
    [
        ("ADNI1", 0, "ADNI Screening"),
        ("ADNI3", 0, "ADNI Screening"),
        ("ADNI2", 0, "ADNI2 Screening MRI-New Pt"),
        ("ADNIGO", 0, "ADNIGO Screening MRI"),
        ("ADNI1", 6, "ADNI1/GO Month 6"),
        ("ADNI1", 60, "ADNIGO Month 60"),
        ("ADNI2", 6, "ADNI2 Month 6-New Pt"),
        ("ADNI3", 24, "ADNI3 Year 2 Visit"),
    ],
)
def test_names_of_scan_visits(phase, month, name):
    assert adni.scan_visit_name(phase, month) == name


def test_aibl_tables_agree_with_the_participants():
    tables = {name.split("_")[1]: table for name, table in aibl.study_tables(handmade.aibl_cohort()).items()}
    low, high = (tables[name].set_index(["RID", "VISCODE"])["EXAMDATE"] for name in ("mrimeta", "mri3meta"))
    assert high[10, "bl"] == "04/18/2006"
    assert low[10, "bl"] == high[10, "m18"] == high[10, "m36"] == "-4"
    assert low[10, "m18"] == "10/10/2007"
    born = tables["ptdemog"].set_index("RID").loc[10, "PTDOB"]
    assert born == "/1935"
    assert tables["pdxconv"].set_index(["RID", "VISCODE"]).loc[(10, "m36"), "DXCURREN"] == 1
    assert all(len(tables[f"{tracer}meta"].columns) == 36 for tracer in ("av45", "pib", "flute"))
    assert len(tables["apoeres"]) == len(tables["ptdemog"]) == 4


def test_a_scan_table_without_dates_has_no_rows():
    person = handmade.make_participant("10", "AIBL", handmade.make_visit(0, "CN", handmade.make_scan(1)))
    tables = aibl.study_tables([person])
    assert tables["aibl_mrimeta_01-Jun-2018.csv"].empty
    assert len(tables["aibl_mri3meta_01-Jun-2018.csv"]) == 1


def test_places_of_a_visit_s_scans_differ():
    person = handmade.adni_cohort()[1]
    first, second = (series_place(person, person.visits[0], scan) for scan in person.visits[0].scans)
    assert first.folder != second.folder
    assert second.time > first.time
    assert second.image_id == "S5004_I10004"
    assert folder_name("Accelerated Sagittal MPRAGE (MSV21)") == "Accelerated_Sagittal_MPRAGE__MSV21_"


@pytest.mark.parametrize(("cohort", "generation"), FORMS)
def test_a_drawn_cohort_becomes_a_download(cohort, generation, tmp_path):
    counts = {"AD": 2, "CN": 2, "MCI": 1, "converters": 2, "without_image": 1, "truncated_series": 1}
    counts |= {"wrong_field_of_view": 1, "motion_noise": 1}
    places = [tmp_path / name for name in ("images", "tables", "truth.tsv")]
    people = draw_cohort(cohort, counts, 8.0, 3)
    write_download(people, handmade.make_volume, 3, *places, progress=False, generation=generation)
    check_downloads([(cohort, *places[:2])])
    truth = read_tsv(places[2], ("subject",))
    assert truth["subject"].nunique() == sum(counts.values())
    fates = truth.drop_duplicates("subject")["expected_fate"].value_counts().to_dict()
    assert fates == {
        "kept": 4,
        "diagnosis not AD/CN": 1,
        "diagnosis changes": 2,
        "no image": 1,
        "conversion failed": 1,
        "failed quality": 2,
    }
    subjects = {path.name for path in places[0].iterdir() if path.is_dir()} - {"033_S_10123"}
    assert subjects == set(truth["subject"][truth["expected_fate"] != "no image"])
