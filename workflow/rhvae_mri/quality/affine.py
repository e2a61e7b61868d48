"""What an affine registration says of an image: the head's size, shape and pose against the template."""

from __future__ import annotations

import numpy


def describe_affine(affine: numpy.ndarray) -> dict[str, float]:
    """Give scale, anisotropy, shear and rotation of an affine transform.

    `affine` (4, 4) in mm; the result is in degrees.

    Examples
    --------
    >>> found = describe_affine(numpy.diag([1.2, 1.2, 1.2, 1.0]))
    >>> {name: round(value, 6) for name, value in found.items()}
    {'scale': 1.2, 'anisotropy': 1.0, 'shear': 0.0, 'rotation': 0.0}
    """
    matrix = affine[:3, :3]
    left, stretches, right = numpy.linalg.svd(matrix)
    # the nearest rotation, and no reflection
    rotation = left @ numpy.diag([1, 1, numpy.sign(numpy.linalg.det(left @ right))]) @ right
    upper = numpy.linalg.qr(matrix)[1]
    shears = upper / numpy.diag(upper)[:, None] - numpy.eye(3)
    cosine = numpy.clip((numpy.trace(rotation) - 1) / 2, -1, 1)
    return {
        "scale": float(numpy.cbrt(numpy.linalg.det(matrix))),
        "anisotropy": float(stretches[0] / stretches[-1]),
        "shear": float(numpy.abs(shears).max()),
        "rotation": float(numpy.degrees(numpy.arccos(cosine))),
    }
