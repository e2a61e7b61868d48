"""Classic augmentation: each training image is flipped, moved and changed in intensity, anew at each epoch.

It is the comparison that the study lacks: what synthetic images must beat. A batch is transformed where it
is, after it has been read, with one interpolation of all its images. The random numbers are drawn on the
CPU, so that they are the same on every device.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rhvae_mri.io.errors import StudyError
from rhvae_mri.study.seeds import derive_seed

#: What is drawn for each image: flip, three rotations, three translations, scale, gamma, contrast,
#: brightness, strength and place of the noise. All are drawn always, so none depends on another's range.
_N_DRAWS = 13


@dataclass(frozen=True)
class AugmentationSettings:
    """How far the transforms may go. Each is drawn uniformly for each image; 0 switches it off."""

    flip_probability: float = 0.5  #: the probability of an exchange of left and right, from 0 to 1
    rotation: float = 5.0  #: the largest angle about each axis, in degrees, below 180
    translation: float = 0.03  #: the largest shift along each axis, as a part of the image's size, below 1
    #: the largest change of size: the factor is between ``1 - scaling`` and ``1 + scaling``, below 1
    scaling: float = 0.05
    gamma: float = 0.2  #: intensities are raised to a power between ``exp(-gamma)`` and ``exp(gamma)``
    #: intensities are multiplied about the image's mean by ``1 - contrast`` to ``1 + contrast``, below 1
    contrast: float = 0.1
    brightness: float = 0.05  #: the largest number that is added to all intensities
    noise: float = 0.03  #: the largest standard deviation of the Gaussian noise

    def __post_init__(self) -> None:
        bounds = {"rotation": 180.0, "translation": 1.0, "scaling": 1.0, "contrast": 1.0}
        for name, value in asdict(self).items():
            bound = bounds.get(name, math.inf)
            is_valid = 0 <= value <= 1 if name == "flip_probability" else 0 <= value < bound
            if not is_valid:
                raise StudyError(f"{value} is no valid value of {name}.", where=name)


class ClassicAugmentation:
    """Transforms batches of one run; the state of its generator belongs into the run's checkpoint.

    ``shape`` is the size of the images in voxels, axes to the right, front and top (RAS+) and ``device``
    is where the batches are.

    Drawing noise for every voxel takes the CPU longer than the training step takes a GPU. So white noise of
    twice the size of an image is drawn once for each run, and each image gets the part of it that begins at
    a random place.
    """

    def __init__(
        self, settings: AugmentationSettings, shape: tuple[int, ...], seed: int, device: torch.device
    ) -> None:
        self._settings = settings
        self._sizes = torch.tensor(shape, dtype=torch.float64)
        self._n_voxels = math.prod(shape)
        self.generator = torch.Generator().manual_seed(derive_seed(seed, "transforms"))
        self._noise = None
        if settings.noise:
            noise_generator = torch.Generator().manual_seed(derive_seed(seed, "noise"))
            self._noise = torch.randn(2 * self._n_voxels, generator=noise_generator).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Transform images (k, 1, *shape) in [0, 1] to new ones; what was outside of an image is 0."""
        settings = self._settings
        draws = torch.rand(len(images), _N_DRAWS, generator=self.generator, dtype=torch.float64)
        signed = 2 * draws - 1
        flip = draws[:, 0] < settings.flip_probability
        matrices = voxel_matrices(
            flip, math.radians(settings.rotation) * signed[:, 1:4], 1 + settings.scaling * signed[:, 7]
        )
        with torch.no_grad():
            moved = resample(images, matrices, settings.translation * self._sizes * signed[:, 4:7])
            power = torch.exp(settings.gamma * signed[:, 8])
            factor = 1 + settings.contrast * signed[:, 9]
            moved = moved.pow_(_per_image(power, moved))
            factor, offset = _per_image(factor, moved), _per_image(settings.brightness * signed[:, 10], moved)
            offset = offset + (1 - factor) * moved.mean(dim=(1, 2, 3, 4), keepdim=True)
            moved = moved.mul_(factor).add_(offset)
            if self._noise is not None:
                places = (draws[:, 12] * self._n_voxels).long().to(self._noise.device)
                noise = self._noise.unfold(0, self._n_voxels, 1)[places].view_as(moved)
                moved.addcmul_(noise, _per_image(settings.noise * draws[:, 11], moved))
            return moved.clamp_(0, 1)


def voxel_matrices(flip: Tensor, angles: Tensor, scale: Tensor) -> Tensor:
    """Give the matrices (k, 3, 3) that flip, rotate and scale places, in voxels from an image's centre.

    ``flip`` says whether the first axis is turned round, before everything else; ``angles`` (k, 3), in
    radians, are the rotations about the first, second and third axis, in this order; ``scale`` is the factor
    of the size.
    """
    matrices = torch.eye(3, dtype=torch.float64).repeat(len(flip), 1, 1)
    matrices[flip, 0, 0] = -1
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        cosine, sine = angles[:, axis].cos(), angles[:, axis].sin()
        rotation = torch.eye(3, dtype=torch.float64).repeat(len(flip), 1, 1)
        rotation[:, first, first] = rotation[:, second, second] = cosine
        rotation[:, second, first], rotation[:, first, second] = sine, -sine
        matrices = rotation @ matrices
    return matrices * scale[:, None, None]


def resample(images: Tensor, matrices: Tensor, shifts: Tensor) -> Tensor:
    """Transform images (k, 1, *shape) by one affine map each, with trilinear interpolation and zeros around.

    ``matrices`` are those of `voxel_matrices`; ``shifts`` (k, 3), in voxels, follow.
    """
    # torch asks, for each place in the result, where in the image to look: in units of half the image's
    # size from its centre, the last axis first. Its own `affine_grid` takes as long as the interpolation.
    shape = images.shape[2:]
    half = torch.tensor(shape, dtype=torch.float64) / 2
    inverse = torch.linalg.inv(matrices)
    linear = (inverse * half / half[:, None]).flip(1)
    offsets = -(inverse @ shifts[:, :, None] / half[:, None]).flip(1)
    lines = [
        (linear[:, :, axis, None] * ((2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1)).to(images)
        for axis, size in enumerate(shape)
    ]
    planes = lines[0][..., None] + (lines[1] + offsets.to(images))[:, :, None, :]
    places = (planes[..., None] + lines[2][:, :, None, None, :]).permute(0, 2, 3, 4, 1)
    return functional.grid_sample(images, places, mode="bilinear", padding_mode="zeros", align_corners=False)


def _per_image(values: Tensor, images: Tensor) -> Tensor:
    """Shape one number for each image so that it meets all of its voxels, on their device."""
    return values.to(images).view(-1, 1, 1, 1, 1)
