"""What makes a cohort's preprocessed images a BIDS dataset: description, README and ``.bidsignore``."""

from __future__ import annotations

import os
from pathlib import Path

import rhvae_mri
from rhvae_mri.files import write_json, write_text
from rhvae_mri.imaging.sidecars import RAW_DATASET, TEMPLATE_DATASET

BIDS_VERSION = "1.10.0"

_IGNORED = """\
# BIDS has no name yet for an affine transform of ITK; this is Clinica's.
*_affine.*
"""

_IGNORED_FAULTS = """\
# Empty, because the image was left out; the JSON file beside each says why.
"""

_README = """\
{name}
{line}

Made by rhvae-mri {version} from the T1-weighted images of {raw} (from this folder),
one image per participant.
{simulated}
Files of each image, in sub-<participant>/[ses-<session>/]anat/:

- *_desc-N4_T1w.nii.gz
  corrected for the intensity bias field with N4, on the grid of the raw image
- *_space-MNI152NLin2009cSym_res-<voxel size>_T1w.nii.gz
  registered to the template with an affine transform, on the template's grid
- *_space-MNI152NLin2009cSym_res-<voxel size>_affine.mat
  that transform, from template to image coordinates, in ITK's format
- *_space-MNI152NLin2009cSym_res-<voxel size>_desc-Crop_T1w.nii.gz
  the registered image, cropped to the field of view of the study's tensors

The JSON file beside each has its sources, all parameters and the versions of the software. All images show
the whole head and are float32. An empty file stands for an image that could not be processed; its JSON file
says why under `Fault`, and `.bidsignore` lists it.
"""

_SIMULATED = """
The participants are SIMULATED: their images and clinical data were generated.
"""


def describe_derivatives(
    cohort: str,
    raw_dataset: str | os.PathLike[str],
    template: str | os.PathLike[str],
    description_file: str | os.PathLike[str],
    readme_file: str | os.PathLike[str],
    ignore_file: str | os.PathLike[str],
    *,
    simulated: bool,
) -> None:
    """Write what makes a folder of preprocessed images a BIDS dataset.

    Parameters
    ----------
    cohort : str
        The cohort's name.
    raw_dataset : path
        The BIDS folder with the raw images, to which the sidecars refer as ``bids:raw:…``.
    template : path
        The template, to which the sidecars refer as ``bids:template:…``.
    description_file, readme_file, ignore_file : path
        The files to write, all in the root of the dataset: ``dataset_description.json``, ``README`` and
        ``.bidsignore``. The last names the transforms, for which BIDS has no name, and every empty file.
    simulated : bool
        Whether the participants are simulated; name and README say so.
    """
    root = Path(description_file).parent
    raw = _relative(raw_dataset, root)
    name = f"{'Simulated ' if simulated else ''}{cohort}: T1-weighted images on the MNI template's grid"
    write_json(
        description_file,
        {
            "Name": name,
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [
                {
                    "Name": "rhvae-mri",
                    "Version": rhvae_mri.__version__,
                    "Description": "N4 bias field correction, affine registration to the template, crop",
                }
            ],
            "SourceDatasets": [{"URL": raw}],
            "DatasetLinks": {RAW_DATASET: raw, TEMPLATE_DATASET: _relative(Path(template).parent, root)},
        },
    )
    note = _SIMULATED if simulated else ""
    readme = _README.format(
        name=name, line="=" * len(name), version=rhvae_mri.__version__, raw=raw, simulated=note
    )
    write_text(readme_file, readme)
    write_text(ignore_file, _IGNORED + _faults(root))


def _faults(root: Path) -> str:
    """Return the lines that name the empty files, together with the JSON file beside each."""
    # also those of images that an auditor has replaced since: they stay on the disk
    files = [path for path in root.rglob("sub-*") if path.is_file() and path.stat().st_size == 0]
    empty = [_relative(file, root) for file in files]
    # without its image, the validator would miss the file that a JSON file describes
    lines = sorted(f"/{file.removesuffix('.nii.gz').removesuffix('.mat')}.*\n" for file in empty)
    return _IGNORED_FAULTS + "".join(lines) if lines else ""


def _relative(path: str | os.PathLike[str], start: Path) -> str:
    return Path(os.path.relpath(path, start)).as_posix()
