"""Whether a registered head fits the template better when it is turned.

A registration can settle on a pose that is wrong by a quarter or half turn, whose outline fits well. Here the
head is turned by 90, 180 and 270 degrees about each axis and fitted again from there, coarsely. A reversed
axis is found too: it is a half turn and an exchange of left and right, and the latter cannot be told with a
symmetric template.
"""

from __future__ import annotations

import numpy
from numpy import ndarray

#: Voxels of the fit in mm, or a bit more: an optimum that is right to a few mm is enough to tell a turn.
FIT_SIZE = 8.0

#: A fit that ends less than this angle in degrees from the registered pose has come back to it.
SMALLEST_TURN = 45.0

# most steps of a fit; what the deviation of an element of the matrix from the turn costs beside the residual,
# whose norm is at most 2; and the tolerance of the fit
_STEPS = 25
_STIFFNESS = 0.08
_TOLERANCE = 1e-3


class TurnedFit:
    """Affine fits of turned images to one template, by least squares of the normalized images in a mask."""

    def __init__(self, template: ndarray, mask: ndarray, head: ndarray) -> None:
        self.mask, self.centre = mask, numpy.argwhere(head).mean(axis=0)
        self.points = numpy.argwhere(mask) - self.centre
        self.target = _normalize(_smooth(template, mask)[mask])[0]

    def fit(self, image: ndarray) -> list[ndarray]:
        """Fit an image from all turns; give the matrices of indices that do not come back to it."""
        from scipy.spatial.transform import Rotation

        smooth = _smooth(image, self.mask)
        slopes = numpy.gradient(smooth)
        turns = [Rotation.from_euler(axis, angle, degrees=True) for axis in "xyz" for angle in (90, 180, 270)]
        found = [self._fit_from(smooth, slopes, turn.as_matrix().round()) for turn in turns]
        return [matrix for matrix in found if _angle(matrix[:3, :3]) >= SMALLEST_TURN]

    def _fit_from(self, image: ndarray, slopes: list[ndarray], turn: ndarray) -> ndarray:
        """Fit an image from one turn; the first nine parameters deform it, the last three move it."""
        from scipy.optimize import least_squares

        def places(parameters: ndarray) -> ndarray:
            matrix = turn @ (numpy.eye(3) + parameters[:9].reshape(3, 3))
            return matrix @ self.points.T + (turn @ parameters[9:] + self.centre)[:, None]

        def residuals(parameters: ndarray) -> ndarray:
            values, _ = _normalize(_sample(image, places(parameters)))
            return numpy.r_[values - self.target, _STIFFNESS * parameters[:9]]

        def jacobian(parameters: ndarray) -> ndarray:
            where = places(parameters)
            slope = numpy.stack([_sample(part, where) for part in slopes], axis=1) @ turn
            deforming = (slope[:, :, None] * self.points[:, None, :]).reshape(-1, 9)
            changes = numpy.hstack([deforming, slope])
            values, scale = _normalize(_sample(image, where))
            changes -= changes.mean(axis=0)
            changes = (changes - numpy.outer(values, values @ changes)) / scale
            return numpy.vstack([changes, _STIFFNESS * numpy.eye(9, 12)])

        # a tenth of the head's size is to a deformation what a voxel is to a movement
        scales = numpy.r_[numpy.full(9, 0.1), numpy.ones(3)]
        options = {"max_nfev": _STEPS, "x_scale": scales, "ftol": _TOLERANCE, "xtol": _TOLERANCE}
        found = least_squares(residuals, numpy.zeros(12), jacobian, **options).x
        matrix = numpy.eye(4)
        matrix[:3, :3] = turn @ (numpy.eye(3) + found[:9].reshape(3, 3))
        matrix[:3, 3] = self.centre + turn @ found[9:] - matrix[:3, :3] @ self.centre
        return matrix


def _smooth(voxels: ndarray, mask: ndarray) -> ndarray:
    """Smooth an image a little, and clip it at its 2nd and 98th percentile in the mask; the darkest is 0."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(voxels, 0.7)
    low, high = numpy.percentile(smooth[mask], [2, 98])
    return numpy.clip(smooth, low, high) - low


def _sample(voxels: ndarray, places: ndarray) -> ndarray:
    """Read an image at indices of shape (3, n); it is 0 outside."""
    from scipy import ndimage

    return ndimage.map_coordinates(voxels, places, order=1)


def _normalize(values: ndarray) -> tuple[ndarray, float]:
    """Give values with mean 0 and norm 1, and the norm that they had."""
    centred = values - values.mean()
    scale = max(float(numpy.linalg.norm(centred)), float(numpy.finfo(numpy.float32).tiny))
    return centred / scale, scale


def _angle(matrix: ndarray) -> float:
    left, _, right = numpy.linalg.svd(matrix)
    return float(numpy.degrees(numpy.arccos(numpy.clip((numpy.trace(left @ right) - 1) / 2, -1, 1))))
