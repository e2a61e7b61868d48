"""The conversion of a simulated OASIS-1 download (Analyze images, clinical table) by Clinica itself."""

import handmade_cohorts as handmade
import nibabel
import numpy
import pandas
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation
from scipy import ndimage

from rhvae_mri.cohort.clinical_terms import terms_of_cohort
from rhvae_mri.cohort.images import list_images, read_images
from rhvae_mri.convert.conversion import convert_to_bids
from rhvae_mri.convert.oasis import CLINICAL_TABLE, check_oasis, describe_fault
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.simulate.heads import render_scan

#: How the voxels of OASIS-1 lie, in RAS+ mm; the Analyze header does not say it.
STORED = numpy.array([[0.0, 0, -1, 80], [1, 0, 0, -128], [0, 1, 0, -128], [0, 0, 0, 1]])
SHAPE = (256, 256, 160)

PEOPLE = [
    # ID, sex, age, MMSE, CDR
    ("OAS1_0001_MR1", "F", 74, 29, 0),
    ("OAS1_0002_MR1", "M", 78, 22, 0.5),
    ("OAS1_0002_MR2", "M", 78, 22, 0.5),
    ("OAS1_0003_MR1", "F", 21, None, None),
    ("OAS1_0004_MR1", "M", 81, 20, 1),
]


def simulate_head(number):
    """A head of the simulated cohort in the grid and orientation of OASIS-1, big-endian int16."""
    scan = handmade.make_scan(number, voxel_size=(4.0, 4.0, 4.0))
    visit = handmade.make_visit(0, "CN", scan)
    person = handmade.make_participant("10", "AIBL", visit)
    head = render_scan(person, visit, scan)
    place = numpy.linalg.inv(head.affine) @ STORED
    return ndimage.affine_transform(head.volume.astype(numpy.float32), place, output_shape=SHAPE, order=1)


def write_session(images, name, volume):
    folder = images / name / "PROCESSED" / "MPRAGE" / "SUBJ_111"
    folder.mkdir(parents=True)
    header = nibabel.Spm2AnalyzeHeader(endianness=">")
    header.set_data_dtype(numpy.int16)
    image = nibabel.Spm2AnalyzeImage(volume[..., None].astype(numpy.int16), None, header)
    nibabel.save(image, folder / f"{name}_mpr_n4_anon_sbj_111.img")
    return folder


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """Two good heads on one disc, a truncated one, one that is absent, one that is not listed."""
    root = tmp_path_factory.mktemp("oasis")
    tables = root / "tables"
    tables.mkdir()
    table = pandas.DataFrame(PEOPLE, columns=["ID", "M/F", "Age", "MMSE", "CDR"])
    table = table.assign(Hand="R", Educ=3, SES=2, eTIV=1500, nWBV=0.75, ASF=1.1, Delay=None)
    table.to_excel(tables / CLINICAL_TABLE, index=False)
    volume = simulate_head(1)
    disc = root / "images" / "disc1"
    write_session(disc, "OAS1_0001_MR1", volume)
    write_session(disc, "OAS1_0002_MR1", 1.1 * volume)
    (disc / "OAS1_0002_MR2").mkdir()
    (disc / "OAS1_0099_MR1").mkdir()
    cut = next(write_session(disc, "OAS1_0004_MR1", volume).glob("*.img"))
    cut.write_bytes(cut.read_bytes()[:5000])
    return root, volume


def test_a_download_becomes_a_cohort_with_the_right_diagnoses_and_orientation(download):
    root, volume = download
    bids, report, record = (root / name for name in ("bids", "conversion.tsv", "tables.tsv"))
    convert_to_bids("OASIS", root / "images", root / "tables", bids, report, record, source="oasis1")
    assert read_tsv(record)[["table", "rows_in"]].to_numpy().tolist() == [[CLINICAL_TABLE, 4]]
    rows = read_tsv(report).set_index("participant_id")
    assert rows["status"].to_dict() == {
        "sub-OASIS10001": "converted",
        "sub-OASIS10002": "converted",
        "sub-OASIS10003": "missing",
        "sub-OASIS10004": "unreadable",
        "sub-OASIS10099": "unreadable",
    }
    assert rows.loc["sub-OASIS10004", "reason"].startswith("truncated: 5000 of ")
    assert rows.loc["sub-OASIS10099", "reason"] == "not in the clinical table"
    assert rows.loc["sub-OASIS10001", "source"] == "disc1/OAS1_0001_MR1"

    list_images("OASIS", bids, report, None, root / "images.tsv", terms=terms_of_cohort("oasis1", None, None))
    images = read_images(root / "images.tsv").set_index("participant_id")
    kept = images[images["status"] == "kept"]
    assert kept["diagnosis"].to_dict() == {"sub-OASIS10001": "CN", "sub-OASIS10002": "AD"}
    assert kept["age"].tolist() == [74, 78]
    assert kept["sex"].tolist() == ["F", "M"]
    assert kept["mmse"].tolist() == [29, 22]
    assert set(images.index) == set(rows.index)

    image = nibabel.load(kept.loc["sub-OASIS10001", "path"])
    numpy.testing.assert_array_equal(image.affine, STORED)
    numpy.testing.assert_array_equal(io_orientation(image.affine), axcodes2ornt("ASL"))
    numpy.testing.assert_array_equal(numpy.asarray(image.dataobj), volume.astype(numpy.int16))


def test_what_is_missing_in_a_download_is_named_before_anything_starts(download, tmp_path):
    root, _ = download
    check_oasis(root / "images", root / "tables")
    pandas.DataFrame({"ID": ["OAS1_0001_MR1"], "CDR": [0]}).to_excel(tmp_path / CLINICAL_TABLE)
    with pytest.raises(StudyError) as caught:
        check_oasis(root / "tables", tmp_path)
    assert "no folder with a session's name" in caught.value.what
    assert "has no column M/F, Hand, Age, Educ, MMSE" in caught.value.what
    with pytest.raises(StudyError, match=f"{CLINICAL_TABLE} is missing"):
        check_oasis(root / "images", root)


def test_images_that_clinica_would_stop_at_are_recognised(tmp_path):
    small = write_session(tmp_path, "OAS1_0001_MR1", numpy.zeros((8, 8, 4)))
    assert describe_fault(small) == "its size is 8 x 8 x 4 x 1, not 256 x 256 x 160"
    for header in small.glob("*.hdr"):
        header.unlink()
    assert describe_fault(small).startswith("no readable Analyze image")
    assert describe_fault(tmp_path).startswith("0 files *.img")
