"""Small NIfTI files for the tests that look at headers only."""

import nibabel
import numpy

SHAPE = (45, 54, 45)


def write_nifti(path, shape=SHAPE, voxel_size=4.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = numpy.diag([voxel_size, voxel_size, voxel_size, 1.0])
    nibabel.save(nibabel.Nifti1Image(numpy.zeros(shape, numpy.uint8), affine), path)
    return path
