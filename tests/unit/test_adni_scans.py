"""ADNI's scans, where no list names them: what folders, file names and headers say."""

import handmade_cohorts as handmade
import pandas
import pydicom
import pytest

from rhvae_mri.convert.adni_merge import Visits, original_phase, phase_name
from rhvae_mri.convert.adni_scans import SCAN_COLUMNS, _read_strength, complete_scans, is_t1, visit_name
from rhvae_mri.convert.archive import list_series
from rhvae_mri.convert.study_tables import Ledger

PERSON = "002_S_0001"


@pytest.fixture
def scan(tmp_path):
    """Move the only series to another folder, change its headers, and return what is known of it."""
    person = handmade.make_participant(PERSON, "ADNI2", handmade.make_visit(0, "AD", handmade.make_scan(1)))
    images = handmade.write_cohort([person], tmp_path)[0]
    (leaf,) = images.rglob("I10001")
    visit = {"PTID": PERSON, "VISCODE": "bl", "EXAMDATE": "2006-04-20", "ORIGPROT": "ADNI2"}
    visits = Visits(pandas.DataFrame([visit]), pandas.DataFrame(columns=["PTID", "EXAMDATE"]), {})
    listed = pandas.DataFrame(columns=SCAN_COLUMNS, dtype=str).set_index("image")

    def run(folder, spoiled=0, **elements):
        place = images / PERSON / folder / "I10001"
        place.parent.mkdir(parents=True, exist_ok=True)
        leaf.rename(place)
        for number, path in enumerate(sorted(place.iterdir())):
            image = pydicom.dcmread(path)
            for name, value in elements.items():
                setattr(image, name, value)
            path.unlink()
            image.save_as(place / f"{number}.dcm")
            if number < spoiled:
                (place / f"{number}.dcm").write_bytes(b"no header")
        (row,) = complete_scans(listed, list_series(images, "ADNI"), visits, Ledger()).itertuples()
        return row

    return run


def test_the_folder_counts_before_the_header(scan):
    said = {"SeriesDescription": "FLAIR", "AcquisitionDate": "20010911", "MagneticFieldStrength": 1.5}
    row = scan("MPRAGE/2006-04-18_x", **said)
    assert (row.sequence, row.date, row.session, row.reason) == ("MPRAGE", "2006-04-18", "ses-M000", "")
    assert row.strength == "1.5"


def test_the_header_counts_where_folders_say_nothing_and_gives_known_words_alone(scan):
    row = scan(".", SeriesDescription="DOE Accelerated Sag IR-FSPGR REPEAT Jane", AcquisitionDate="20060418")
    assert (row.sequence, row.date) == ("Accelerated Sag IR-FSPGR REPEAT", "2006-04-18")
    assert (row.session, row.reason) == ("ses-M000", "")


def test_a_damaged_file_leaves_the_next_one_to_say_it(scan):
    row = scan(".", spoiled=3, SeriesDescription="MPRAGE", AcquisitionDate="20060418")
    assert (row.sequence, row.date, row.reason) == ("MPRAGE", "2006-04-18", "")


def test_a_scan_of_which_no_header_can_be_read_is_not_called_undated(scan):
    row = scan("MPRAGE", spoiled=99)
    assert row.reason == "no header of it can be read (InvalidDicomError)"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"SeriesDescription": "DOE^JANE"}, "not a T1-weighted sequence: (no name)"),
        (
            {"SeriesDescription": "MPRAGE", "AcquisitionDate": "20010911"},
            "no visit in the clinical tables within half a year of the scan",
        ),
        ({"SeriesDescription": "MPRAGE", "AcquisitionDate": "20061345"}, "the date of the scan is not known"),
    ],
)
def test_no_text_and_no_date_of_a_header_is_repeated(scan, elements, reason):
    assert scan(".", **elements).reason == reason


def test_a_folder_s_date_that_is_none(scan):
    row = scan("MPRAGE/0000-00-00_x", AcquisitionDate="20060418")
    assert (row.date, row.session) == ("2006-04-18", "ses-M000")


@pytest.mark.parametrize(
    ("read", "cases"),
    [
        (is_t1, {"MP-RAGE": True, "MPR; GradWarp; N3; Scaled": True, "Sag IR-FSPGR": True}),
        (is_t1, {"AXIAL_T2": False, "AAHead_Scout_MPR_sag": False, "MPR; GradWarp; Mask": False}),
        (_read_strength, {"1.494": "1.5", "3": "3.0", "1,5": "1.5", "3.0T": "3.0", "15000": "1.5", "?": ""}),
        (phase_name, {"ADNI 1": "ADNI1", "adni go": "ADNIGO", "ADNI4": "ADNI4"}),
        (original_phase, {295: "ADNI1", 2001: "ADNIGO", 6007: "ADNI3", 10123: "ADNI4"}),
    ],
)
def test_what_tables_and_headers_write_is_read(read, cases):
    assert {text: read(text) for text in cases} == cases


def test_names_of_visits_are_those_that_clinica_looks_for():
    names = {
        **{
            ("ADNI1", 6): "ADNI1/GO Month 6",
            ("ADNI1", 54): "ADNIGO Month 54",
            ("ADNI3", 0): "ADNI Screening",
        },
        **{("ADNIGO", 0): "ADNIGO Screening MRI", ("ADNIGO", 3): "ADNIGO Month 3 MRI"},
        **{("ADNI2", 0): "ADNI2 Screening MRI-New Pt", ("ADNI2", 3): "ADNI2 Month 3 MRI-New Pt"},
        **{("ADNI2", 6): "ADNI2 Month 6-New Pt", ("ADNI3", 12): "ADNI3 Year 1.0 Visit"},
    }
    assert {place: visit_name(*place) for place in names} == names
