"""A study made by hand: raw images of two participants and their derivatives, one of them a fault."""

import json
from pathlib import Path

import nibabel
import numpy
import pandas

from rhvae_mri.io.files import save_image, write_text, write_tsv
from rhvae_mri.preprocess.crop import crop_to_template
from rhvae_mri.preprocess.grid import study_grid
from rhvae_mri.preprocess.images import ImageError, record_faults
from rhvae_mri.preprocess.sidecars import source_uri, write_sidecar

GOOD, BAD = "sub-ADNI10_ses-M000", "sub-ADNI20_ses-M012"
TEMPLATE = "results/template/template.nii.gz"
RAW = "results/bids/cohort-ADNI"
ROOT = "results/derivatives/cohort-ADNI"
IMAGES = "results/cohorts/cohort-ADNI/images.tsv"
CONVERSION = "results/conversion/cohort-ADNI/conversion.tsv"

_SUFFIXES = {
    "desc-N4": "desc-N4_T1w.nii.gz",
    "affine": "space-MNI152NLin2009cSym_res-4x4x4_affine.mat",
    "registered": "space-MNI152NLin2009cSym_res-4x4x4_T1w.nii.gz",
    "cropped": "space-MNI152NLin2009cSym_res-4x4x4_desc-Crop_T1w.nii.gz",
}

#: The files of each step.
DERIVATIVES = {
    step: [f"{ROOT}/{image.replace('_', '/')}/anat/{image}_{suffix}" for image in (GOOD, BAD)]
    for step, suffix in _SUFFIXES.items()
}


def raw_path(image_id):
    return f"{RAW}/{image_id.replace('_', '/')}/anat/{image_id}_T1w.nii.gz"


def write_study():
    """Write the study into the working directory."""
    random = numpy.random.default_rng(7)
    shape, affine = study_grid(4.0)
    for path in (TEMPLATE, raw_path(GOOD), raw_path(BAD)):
        save_image(path, nibabel.Nifti1Image(random.random(shape, numpy.float32), affine))
    _write_raw_dataset()
    corrected, transform, registered, cropped = (paths[0] for paths in DERIVATIVES.values())
    for path in (corrected, registered):
        save_image(path, nibabel.Nifti1Image(random.random(shape, numpy.float32), affine))
    write_text(transform, "a transform")
    reference = {"SpatialReference": source_uri(TEMPLATE, registered), "Resolution": "4 mm isotropic"}
    write_sidecar(corrected, "Corrected", [raw_path(GOOD)], ["numpy"], Threads=1)
    write_sidecar(registered, "Registered", [corrected, transform], ["numpy"], **reference)
    write_sidecar(transform, "Transform", [corrected], ["numpy"], **reference)
    crop_to_template(registered, cropped, 4.0)
    with record_faults(*(paths[1] for paths in DERIVATIVES.values())):
        raise ImageError("All voxels of the image have the value 0.", where=raw_path(BAD))


def _write_raw_dataset():
    description = {"Name": "Raw", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    write_text(f"{RAW}/dataset_description.json", json.dumps(description))
    rows, conversion = [], []
    for image_id in (GOOD, BAD):
        participant, session = image_id.split("_")
        where = {"participant_id": participant, "session_id": session}
        rows.append({"image_id": image_id, **where, "path": raw_path(image_id), "status": "kept"})
        conversion.append({**where, "status": "converted", "source": f"{participant[-2:]}/MPRAGE/I1"})
    rows.append({"image_id": "sub-ADNI30", "participant_id": "sub-ADNI30", "status": "excluded"})
    conversion.append({"participant_id": "sub-ADNI30", "status": "missing"})
    write_tsv(IMAGES, pandas.DataFrame(rows))
    write_tsv(CONVERSION, pandas.DataFrame(conversion))
    people = pandas.DataFrame({"participant_id": [row["participant_id"] for row in rows[:2]]})
    write_tsv(f"{RAW}/participants.tsv", people)


def sidecars():
    """The JSON files of the derivatives that have sources."""
    contents = {path: json.loads(path.read_text()) for path in Path(ROOT).rglob("*_*.json")}
    return {path: content for path, content in contents.items() if "Sources" in content}
