"""ClinicaDL's own quality check on a CAPS folder, run by the Python of .venv-peers.

    python clinicadl_quality.py CAPS OUTPUT NETWORK…

The networks have ClinicaDL's names; their weights lie where it would have downloaded them to, below the home
folder. Writes OUTPUT/<network>.tsv for each, and OUTPUT/slices.npz with the prepared slices of each image.
"""

import sys
from pathlib import Path


def main(caps, output, *networks):
    import nibabel
    import numpy
    import torch
    from clinicadl.quality_check.t1_linear.quality_check import quality_check
    from clinicadl.quality_check.t1_linear.utils import QCDataset

    torch.set_num_threads(1)
    for network in networks:
        quality_check(Path(caps), Path(output) / f"{network}.tsv", gpu=False, network=network)
    slices = {
        path.name.split("_space-")[0]: QCDataset.nii_transform(nibabel.load(path)).numpy()[0]
        for path in sorted(Path(caps).rglob("*.nii.gz"))
    }
    numpy.savez(Path(output) / "slices.npz", **slices)


if __name__ == "__main__":
    main(*sys.argv[1:])
