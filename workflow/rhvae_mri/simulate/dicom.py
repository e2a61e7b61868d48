"""Writing a simulated scan as a DICOM series: one MR image file per sagittal slice.

It has all attributes of type 1 of the MR Image information object (DICOM PS3.3, A.4), and those of type 2
that apply. All unique identifiers derive from seeds, and each file says that it is simulated.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from rhvae_mri.simulate.records import Participant, Scan, SeriesPlace, SimulatedScan, Visit
from rhvae_mri.simulate.truth import age_at

#: What every simulated file and folder says of itself.
SIMULATED_MARK = "SIMULATED DATA, NO REAL PERSON"

#: RAS+ (NIfTI) to LPS+ (DICOM) coordinates.
_RAS_TO_LPS = numpy.diag([-1.0, -1.0, 1.0])

#: The fault ``truncated_series`` takes this part of the pixels from every third file.
_TRUNCATED_PART = 0.5


def write_series(
    images: Path, place: SeriesPlace, person: Participant, visit: Visit, scan: Scan, rendered: SimulatedScan
) -> list[Path]:
    """Write a scan as sagittal MR slices, explicit VR little endian, uncompressed; return the files in order.

    The volume is int16, axes RAS+. The affine's axes are orthogonal and within 45 degrees of the scanner's.
    """
    volume, affine = rendered.volume, rendered.affine
    sizes = numpy.linalg.norm(affine[:3, :3], axis=0)
    folder = images / place.folder
    folder.mkdir(parents=True, exist_ok=True)
    dataset = _series_dataset(volume, affine[:3, :3] / sizes, sizes, place, person, visit, scan)
    step, first = (
        _RAS_TO_LPS @ affine[:3, 0],
        _RAS_TO_LPS @ affine[:3] @ [0, *numpy.subtract(volume.shape[1:], 1), 1],
    )
    paths = []
    for index in range(volume.shape[0]):
        # Rows run from superior to inferior, columns from anterior to posterior, as on a screen.
        pixels = volume[index, ::-1, ::-1].T.astype("<i2").tobytes()
        position = first + index * step
        uid = _uid(dataset.SeriesInstanceUID, index + 1)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        # Leading zeros rather than spaces: dcm2niix misreads decimals with spaces around them.
        dataset.InstanceNumber = f"{index + 1:010d}"
        dataset.ImagePositionPatient = [f"{value:+016.8f}" for value in position]
        dataset.SliceLocation = f"{-position[0]:+016.8f}"
        dataset.add_new("PixelData", "OW", pixels)
        buffer = io.BytesIO()
        dcmwrite(buffer, dataset, enforce_file_format=True)
        content = buffer.getvalue()
        if scan.fault == "truncated_series" and index % 3 == 1:
            content = content[: len(content) - int(len(pixels) * _TRUNCATED_PART)]
        path = folder / f"{place.file_stem}_{index + 1}_{place.image_id}.dcm"
        path.write_bytes(content)
        paths.append(path)
    return paths


def _series_dataset(
    volume: numpy.ndarray,
    directions: numpy.ndarray,
    sizes: numpy.ndarray,
    place: SeriesPlace,
    person: Participant,
    visit: Visit,
    scan: Scan,
) -> Dataset:
    """Return a dataset with all that the slices of a series share."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = _uid("rhvae-mri", "simulate", "dicom")
    date, time = place.time.strftime("%Y%m%d"), place.time.strftime("%H%M%S.%f")
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = date
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = time
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.PatientBirthDate = ""
    dataset.ScanOptions = dataset.PositionReferenceIndicator = ""
    dataset.Modality = "MR"
    dataset.Manufacturer = "SIMULATED"
    dataset.ManufacturerModelName = "rhvae-mri simulated scanner"
    dataset.InstitutionName = f"SIMULATED SITE {person.site:03d}"
    dataset.StudyDescription = f"{person.cohort} (simulated)"
    dataset.SeriesDescription = dataset.ProtocolName = scan.sequence
    dataset.PatientName = f"SIMULATED^{person.subject}"
    dataset.PatientID = person.subject
    dataset.PatientSex = person.sex
    dataset.PatientAge = f"{int(age_at(person, visit)):03d}Y"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = dataset.ImageComments = SIMULATED_MARK
    dataset.ContentQualification = "RESEARCH"
    dataset.BodyPartExamined = "HEAD"
    dataset.ScanningSequence = ["GR", "IR"]
    dataset.SequenceVariant = ["SP", "MP"]
    dataset.MRAcquisitionType = "3D"
    dataset.SliceThickness = dataset.SpacingBetweenSlices = _decimal(sizes[0])
    dataset.RepetitionTime, dataset.EchoTime, dataset.InversionTime = 2300, 2.98, 900
    dataset.EchoTrainLength = dataset.NumberOfAverages = dataset.AcquisitionNumber = 1
    dataset.FlipAngle = 9
    dataset.MagneticFieldStrength = scan.field_strength
    dataset.PatientPosition = "HFS"
    session = (person.cohort, person.subject, date, str(scan.field_strength))
    dataset.StudyInstanceUID = _uid(*session)
    dataset.SeriesInstanceUID = _uid(*session, scan.seed)
    dataset.FrameOfReferenceUID = _uid(*session, "frame of reference")
    dataset.StudyID = "1"
    dataset.SeriesNumber = place.series_number
    along_row, along_column = (-_RAS_TO_LPS @ directions[:, axis] for axis in (1, 2))
    dataset.ImageOrientationPatient = [_decimal(value) for value in (*along_row, *along_column)]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = volume.shape[2], volume.shape[1]
    dataset.PixelSpacing = [_decimal(sizes[2]), _decimal(sizes[1])]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    low, high = numpy.percentile(volume, (1, 99.5))
    dataset.WindowCenter, dataset.WindowWidth = round((low + high) / 2), max(round(high - low), 1)
    return dataset


def _decimal(value: float) -> float:
    """Round so that the number fits DICOM's 16 characters."""
    return round(float(value), 8)


def _uid(*names: str | int) -> UID:
    """Derive a unique identifier of the UUID form (root 2.25) from names; its length is always the same."""
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    return UID(f"2.25.{10**37 + int.from_bytes(digest[:16], 'big') % (9 * 10**37)}")
