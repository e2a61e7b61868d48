"""What lies in the folders of a simulated ADNI download of today beside the original series."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.sax.saxutils import escape

import nibabel
import pandas

from rhvae_mri.files import write_text
from rhvae_mri.simulate.adni_archive import (
    PROCESSED_DESCRIPTION,
    has_processed_file,
    listed_images,
    processed_number,
)
from rhvae_mri.simulate.adni_today import DOWNLOAD_DATE, baseline_diagnosis, imaging_codes
from rhvae_mri.simulate.dicom import SIMULATED_MARK
from rhvae_mri.simulate.loni import SeriesPlace, folder_name, series_place
from rhvae_mri.simulate.records import Participant, Scan, SimulatedScan, Visit
from rhvae_mri.simulate.truth import age_at

#: Name of the list that comes with a collection of images.
COLLECTION = f"T1_collection_{DOWNLOAD_DATE:%m_%d_%Y}.csv"

_COLLECTION_COLUMNS = (
    *("Image Data ID", "Subject", "Group", "Sex", "Age", "Visit", "Modality"),
    *("Description", "Type", "Acq Date", "Format", "Downloaded"),
)

_METADATA = """<?xml version="1.0" encoding="UTF-8"?>
<idaxs>
  <project>
    <projectIdentifier>ADNI</projectIdentifier>
    <subject>
      <subjectIdentifier>{subject}</subjectIdentifier>
      <study>
        <series>
          <seriesIdentifier>{series}</seriesIdentifier>
          <dateAcquired>{date}</dateAcquired>
          <imagingProtocol>
            <imageUID>{image}</imageUID>
            <description>{description}</description>
          </imagingProtocol>
        </series>
      </study>
    </subject>
  </project>
  <!-- {mark} -->
</idaxs>
"""


def place_of_today(person: Participant, visit: Visit, scan: Scan) -> SeriesPlace:
    """Return where a scan's series lies; every fifth folder is named after the series, not the image."""
    place = series_place(person, visit, scan)
    if scan.seed % 5 == 1:
        return dataclasses.replace(place, folder=place.folder.with_name(f"S{scan.series_id}"))
    return place


def write_companions(
    images: Path, person: Participant, visit: Visit, scan: Scan, rendered: SimulatedScan
) -> None:
    """Write what comes with a series: the pre-processed copy and the metadata, each of some scans."""
    place = place_of_today(person, visit, scan)
    if has_processed_file(person, visit, scan):
        _write_processed(images, person, visit, scan, rendered)
    # archives of metadata hold them in the folders of the series or all in one
    folders = {1: images, 2: images / place.folder}
    folder = folders.get(scan.seed % 3)
    if folder is not None:
        sequence = folder_name(scan.sequence)
        name = f"{person.cohort}_{person.subject}_{sequence}_{place.image_id}.xml"
        write_text(folder / name, _metadata(person, visit, scan))


def write_collection(images: Path, participants: list[Participant]) -> None:
    """Write the list of a collection at the root of the images folder: what the download holds."""
    rows = []
    for image in listed_images(participants):
        if not image.on_disk:
            continue
        code, _ = imaging_codes(image.person, image.phase, image.visit)
        rows.append(
            {
                "Image Data ID": f"I{image.image_uid}",
                "Subject": image.person.subject,
                "Group": baseline_diagnosis(image.person),
                "Sex": image.person.sex,
                "Age": int(age_at(image.person, image.visit)),
                "Visit": code,
                "Modality": "MRI",
                "Description": image.description,
                "Type": "Processed" if image.processed else "Original",
                "Acq Date": f"{image.visit.date:%m/%d/%Y}".lstrip("0").replace("/0", "/"),
                "Format": "NiFTI" if image.processed else "DCM",
                "Downloaded": f"{DOWNLOAD_DATE:%m/%d/%Y}",
            }
        )
    table = pandas.DataFrame(rows, columns=_COLLECTION_COLUMNS)
    table.to_csv(images / COLLECTION, index=False, lineterminator="\n")


def _write_processed(
    images: Path, person: Participant, visit: Visit, scan: Scan, rendered: SimulatedScan
) -> None:
    """Write the pre-processed copy as NIfTI: the same volume, in the same place of the scanner."""
    original = series_place(person, visit, scan)
    number = processed_number(person, visit, scan)
    sequence = folder_name(PROCESSED_DESCRIPTION)
    folder = images / person.subject / sequence / original.folder.parent.name / f"I{number}"
    folder.mkdir(parents=True)
    stamp = original.time.strftime("%Y%m%d%H%M%S000")
    name = f"{person.cohort}_{person.subject}_MR_{sequence}_Br_{stamp}_S{scan.series_id}_I{number}.nii"
    image = nibabel.Nifti1Image(rendered.volume, rendered.affine)
    image.header["descrip"] = SIMULATED_MARK.encode()
    nibabel.save(image, folder / name)


def _metadata(person: Participant, visit: Visit, scan: Scan) -> str:
    return _METADATA.format(
        subject=person.subject,
        series=scan.series_id,
        date=visit.date.isoformat(),
        image=scan.image_uid,
        description=escape(scan.sequence),
        mark=SIMULATED_MARK,
    )
