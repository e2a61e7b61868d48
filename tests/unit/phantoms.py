"""A head-like phantom, given by a formula: it can be drawn in any pose without interpolation."""

import nibabel
import numpy


def coordinates(shape, affine):
    """World coordinates of all voxels, shape (*shape, 3)."""
    index = numpy.moveaxis(numpy.indices(shape), 0, -1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def head(points):
    """Intensity at points in mm: scalp, skull, grey and white matter, ventricles, a nose and an eye."""
    values = numpy.zeros(points.shape[:-1])
    for centre, axes, intensity in [
        ((0, -18, 0), (76, 92, 80), 110),
        ((0, 75, -30), (14, 22, 24), 80),
        ((0, -18, 0), (69, 85, 73), 12),
        ((0, -18, 2), (65, 81, 68), 62),
        ((0, -16, 8), (52, 66, 52), 100),
        ((-12, -14, 12), (8, 26, 14), 20),
        ((14, -22, 12), (7, 30, 12), 20),
        ((30, 52, -28), (12, 12, 12), 40),
        ((-22, -66, -34), (26, 18, 16), 85),
    ]:
        inside = (((points - centre) / axes) ** 2).sum(axis=-1)
        edge = numpy.clip((1.04 - inside) / 0.08, 0, 1)  # a soft border, as partial volumes make it
        values += edge * (intensity - values)
    return values


def grid(voxel_size, shape=None):
    """A grid around the phantom."""
    shape = shape or tuple(int(numpy.ceil(length / voxel_size)) for length in (200, 240, 210))
    affine = numpy.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = -(numpy.array(shape) - 1) / 2 * voxel_size + [0, -14, -4]
    return shape, affine


def save(path, voxels, affine, dtype=numpy.float32):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels.astype(dtype), affine), path)
    return path
