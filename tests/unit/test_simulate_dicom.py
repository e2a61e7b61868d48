"""A simulated DICOM series, read back with pydicom and dcm2niix."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import handmade_cohorts as handmade
import nibabel
import numpy
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from rhvae_mri.simulate.dicom import write_series
from rhvae_mri.simulate.records import SimulatedScan, series_place

SHAPE = (9, 12, 11)


@pytest.fixture
def series():
    """A participant, the visit and the scan, with its place."""
    scan = handmade.make_scan(5, sequence="MP-RAGE", field_strength=1.5)
    visit = handmade.make_visit(0, "CN", scan)
    person = handmade.make_participant("002_S_0295", "ADNI1", visit)
    return person, visit, scan


@pytest.fixture
def volume():
    return numpy.random.default_rng(0).integers(-50, 3000, SHAPE).astype(numpy.int16)


@pytest.fixture
def affine():
    turn = Rotation.from_euler("xyz", [12, -8, 21], degrees=True).as_matrix()
    matrix = numpy.eye(4)
    matrix[:3, :3] = turn * [4.2, 4.0, 4.1]
    matrix[:3, 3] = [-80.25, -100.5, 70.125]
    return matrix


def write(folder, volume, affine, series, **changes):
    person, visit, scan = series
    place = series_place(person, visit, scan)
    rendered = SimulatedScan(volume, affine, affine, numpy.zeros(20), 0, 0)
    return write_series(folder, place, person, visit, replace(scan, **changes), rendered)


def test_every_voxel_is_where_the_dicom_attributes_say(tmp_path, volume, affine, series):
    """The equation of DICOM PS3.3 C.7.6.2.1.1, voxel by voxel."""
    seen = numpy.full(SHAPE, 9999)
    to_index = numpy.linalg.inv(affine)
    for path in write(tmp_path, volume, affine, series):
        image = pydicom.dcmread(path)
        along_row, along_column = numpy.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
        between_rows, between_columns = map(float, image.PixelSpacing)
        for row in range(image.Rows):
            for column in range(image.Columns):
                lps = numpy.array(image.ImagePositionPatient, float)
                lps = lps + along_row * between_columns * column + along_column * between_rows * row
                index = to_index @ [-lps[0], -lps[1], lps[2], 1]
                assert numpy.allclose(index, numpy.rint(index), atol=1e-5)
                seen[tuple(numpy.rint(index[:3]).astype(int))] = image.pixel_array[row, column]
    numpy.testing.assert_array_equal(seen, volume)


def test_dcm2niix_gives_the_volume_back(tmp_path, volume, affine, series):
    write(tmp_path / "series", volume, affine, series)
    tool = Path(sys.executable).parent / "dcm2niix"
    subprocess.run([tool, "-f", "image", "-o", tmp_path, "-b", "n", tmp_path / "series"], check=True)
    image = nibabel.as_closest_canonical(nibabel.load(tmp_path / "image.nii"))
    numpy.testing.assert_array_equal(numpy.asanyarray(image.dataobj), volume)
    numpy.testing.assert_allclose(image.affine, affine, atol=1e-3)


def test_attributes(tmp_path, volume, affine, series):
    images = [pydicom.dcmread(path) for path in write(tmp_path, volume, affine, series)]
    first = images[0]
    assert len(images) == SHAPE[0]
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert all(image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID for image in images)
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert [int(image.InstanceNumber) for image in images] == [*range(1, SHAPE[0] + 1)]
    assert all(pydicom.uid.UID(image.SOPInstanceUID).is_valid for image in images)
    assert first.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert first.SOPClassUID == pydicom.uid.MRImageStorage
    assert (first.PatientID, first.PatientSex, first.PatientAge) == ("002_S_0295", "F", "071Y")
    assert (first.SeriesDescription, first.MagneticFieldStrength) == ("MP-RAGE", 1.5)
    assert (first.Rows, first.Columns) == (SHAPE[2], SHAPE[1])
    assert float(first.SliceThickness) == 4.2
    assert "SIMULATED" in first.Manufacturer
    assert "SIMULATED" in str(first.PatientName)
    assert "SIMULATED" in first.ImageComments
    for image in images:
        for element in image.iterall():
            assert not isinstance(element.value, str) or len(element.value) <= 64


def test_identifiers_and_bytes_follow_from_the_seed(tmp_path, volume, affine, series):
    first, again, other = (
        write(tmp_path / name, volume, affine, series, seed=seed)
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    uids = [pydicom.dcmread(paths[0]) for paths in (first, other)]
    assert uids[0].SeriesInstanceUID != uids[1].SeriesInstanceUID
    assert uids[0].SOPInstanceUID != uids[1].SOPInstanceUID
    assert uids[0].StudyInstanceUID == uids[1].StudyInstanceUID


def test_a_truncated_series_cannot_be_read(tmp_path, volume, affine, series):
    paths = write(tmp_path, volume, affine, series, fault="truncated_series")
    broken = []
    for path in paths:
        image = pydicom.dcmread(path)
        if len(image.PixelData) < 2 * image.Rows * image.Columns:
            with pytest.raises(ValueError, match="expected"):
                image.pixel_array  # noqa: B018 - reading the attribute decodes the pixels
            broken.append(path)
    assert len(broken) == 3
    assert len(list(tmp_path.rglob("*.dcm"))) == SHAPE[0]
