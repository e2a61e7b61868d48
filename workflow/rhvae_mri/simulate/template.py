"""The template of the simulated study."""

from __future__ import annotations

import os

import numpy

from rhvae_mri.preprocess.template import write_template
from rhvae_mri.simulate.anatomy import whole_head_template


def simulate_template(voxel_size: float, target: str | os.PathLike[str]) -> None:
    """Write the average anatomy with a simulated skull and scalp as the template."""
    image = whole_head_template(voxel_size)
    write_template(
        image.get_fdata(dtype=numpy.float32),
        image.affine,
        voxel_size,
        target,
        sources=[],
        Simulated=True,
        Origin="average anatomy with a simulated skull and scalp",
    )
