"""What makes a cohort's preprocessed images a BIDS dataset: description, README and ``.bidsignore``."""

from __future__ import annotations

import os
from pathlib import Path

import rhvae_mri
from rhvae_mri.io.files import write_json, write_text
from rhvae_mri.preprocess.sidecars import RAW_DATASET, TEMPLATE_DATASET

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
    """Write what makes a folder of preprocessed images a BIDS dataset, into its root.

    The sidecars refer to the folder ``raw_dataset`` as ``bids:raw:…``, to that of ``template`` as
    ``bids:template:…``. ``.bidsignore`` names the transforms, for which BIDS has no name, and empty files.
    """
    root = Path(description_file).parent
    raw = _relative(raw_dataset, root)
    name = f"{'Simulated ' if simulated else ''}{cohort}: T1-weighted images on the MNI template's grid"
    version, steps = (
        rhvae_mri.__version__,
        "N4 bias field correction, affine registration to the template, crop",
    )
    content = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "rhvae-mri", "Version": version, "Description": steps}],
        "SourceDatasets": [{"URL": raw}],
        "DatasetLinks": {RAW_DATASET: raw, TEMPLATE_DATASET: _relative(Path(template).parent, root)},
    }
    write_json(description_file, content)
    words = {"name": name, "line": "=" * len(name), "version": version, "raw": raw}
    write_text(readme_file, _README.format(**words, simulated=_SIMULATED if simulated else ""))
    # also those of images that an auditor has replaced since: they stay on the disk
    files = [path for path in root.rglob("sub-*") if path.is_file() and path.stat().st_size == 0]
    empty = [_relative(file, root).removesuffix(".nii.gz").removesuffix(".mat") for file in files]
    # with the JSON file beside each: without its image, the validator would miss what that describes
    faults = [_IGNORED_FAULTS, *sorted(f"/{name}.*\n" for name in empty)] if empty else []
    write_text(ignore_file, _IGNORED + "".join(faults))


def _relative(path: str | os.PathLike[str], start: Path) -> str:
    return Path(os.path.relpath(path, start)).as_posix()
