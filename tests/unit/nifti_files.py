"""Small NIfTI files for the tests of headers, good ones and damaged ones."""

import nibabel
import numpy

SHAPE = (45, 54, 45)
VOXEL_SIZE = 4.0
AFFINE = numpy.diag([VOXEL_SIZE, VOXEL_SIZE, VOXEL_SIZE, 1.0])


def write_nifti(path, shape=SHAPE, voxel_size=VOXEL_SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = numpy.diag([voxel_size, voxel_size, voxel_size, 1.0])
    nibabel.save(nibabel.Nifti1Image(numpy.zeros(shape, numpy.uint8), affine), path)
    return path


def noise(low=0, high=120, dtype=numpy.int16, shape=SHAPE):
    return numpy.random.default_rng(0).integers(low, high, shape).astype(dtype)


def encode_nifti(voxels=None, sform=AFFINE, qform=AFFINE, change=lambda header: None, **cells):
    """The bytes of a NIfTI file, uncompressed and unscaled, with any values in the cells of its header."""
    voxels = noise() if voxels is None else voxels
    image = nibabel.Nifti1Image(voxels, None)
    image.set_qform(qform, 1 if qform is not None else 0)
    image.set_sform(sform, 1 if sform is not None else 0)
    header = image.header
    for name, value in {"scl_slope": 1, "scl_inter": 0, "vox_offset": 352, "xyzt_units": 2, **cells}.items():
        header[name] = value
    change(header)
    return header.binaryblock + bytes(4) + voxels.tobytes("F")
