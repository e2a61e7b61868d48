"""Rendering of one simulated scan of one participant, with its ground truth."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy
from scipy import ndimage

from rhvae_mri.simulate import acquisition
from rhvae_mri.simulate.anatomy import LATTICE_ORIGIN, coarse_lattice, lattice_index, load_anatomy, sample
from rhvae_mri.simulate.deformation import Deformation, deform, near_head, structure_volumes
from rhvae_mri.simulate.head_shape import FADE_START
from rhvae_mri.simulate.participants import anatomy_at
from rhvae_mri.simulate.records import Anatomy, Participant, Scan, SimulatedScan, Visit

#: Noise of a spoiled scan, relative to white matter.
SPOILED_NOISE = 0.12

# Gaussian blur of a voxel, standard deviation in voxels: a full width at half maximum of one voxel
_BLUR = 0.425

# below this voxel size (mm) the 1 mm average is sampled as it is, above it blocks of 2 mm
_FINE = 1.8


def render_scan(participant: Participant, visit: Visit, scan: Scan) -> SimulatedScan:
    """Render one scan with its truth; a truncated series as a good one: its files are cut when written."""
    now = anatomy_at(participant, visit)
    deformation, (ventricles, hippocampi) = _deformation(now)
    scanner = acquisition.site_scanner(participant.cohort, participant.site, scan.field_strength)
    shape, affine = acquisition.scan_box(scan.voxel_size)
    size = acquisition.head_size(now.head_seed, participant.sex)
    margin = 6.0 + 1.5 * max(scan.voxel_size)
    pose = acquisition.draw_pose(size, _head_surface(), margin, scan.seed)
    if scan.fault == "wrong_field_of_view":
        pose = acquisition.misplace_box(pose, scan.seed)
    template_to_voxel = numpy.linalg.inv(affine) @ pose

    signal, head = _see(now, deformation, template_to_voxel, shape, scan.voxel_size)
    image = scanner.white_matter * signal**scanner.gamma
    bias = acquisition.draw_bias(head, scan.seed)
    image *= acquisition.bias_field(shape, bias)
    noise = scanner.noise
    if scan.fault == "motion_noise":
        image = acquisition.add_motion(image, scan.voxel_size, scan.seed)
        noise = SPOILED_NOISE
    image = acquisition.add_noise(image, noise * scanner.white_matter, scan.seed)

    volume, growth = numpy.rint(image).astype(numpy.int16), float(numpy.linalg.det(size))
    return SimulatedScan(volume, affine, template_to_voxel, bias, ventricles * growth, hippocampi * growth)


def _see(
    now: Anatomy,
    deformation: Deformation,
    template_to_voxel: numpy.ndarray,
    shape: tuple[int, int, int],
    voxel_size: tuple[float, float, float],
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Sample the individual head at the voxels of a scan: signal relative to white matter, and head mask."""
    step, origin, intensity, cortical_loss, temporal_loss, solid = _level(voxel_size)
    tissue = intensity + numpy.float32(now.cortical_thinning) * cortical_loss
    # the grey matter around the hippocampi turns into fluid to the degree that they shrink
    tissue += numpy.float32(numpy.clip(1 - now.hippocampus_scale, 0, 1)) * temporal_loss

    to_template = numpy.linalg.inv(template_to_voxel).astype(numpy.float32)
    signal, head = numpy.zeros(shape, numpy.float32), numpy.zeros(shape, bool)
    plane = numpy.indices(shape[1:], dtype=numpy.float32).reshape(2, -1)
    offsets = to_template[:3, 1:3] @ plane + to_template[:3, 3:]
    # some sagittal slices at a time, which bounds the memory at 1 mm
    slab = max(1, 500_000 // plane.shape[1])
    for start in range(0, shape[0], slab):
        slices = numpy.arange(start, min(start + slab, shape[0]), dtype=numpy.float32)
        points = (to_template[:3, :1, None] * slices[:, None] + offsets[:, None, :]).reshape(3, -1)
        near = near_head(points)
        index = lattice_index(deformation.at(points[:, near]), origin, step)
        part = slice(start, start + slices.size)
        near = near.reshape(signal[part].shape)
        signal[part][near] = sample(tissue, index)
        head[part][near] = ndimage.map_coordinates(solid, index, output=bool, order=0, prefilter=False)
    return signal, head


@lru_cache(maxsize=8)
def _level(voxel_size: tuple[float, float, float]) -> tuple[Any, ...]:
    """Blur the head to a scan's voxel size, which avoids aliasing: step, origin, three maps, and its mask."""
    anatomy = load_anatomy()
    maps = (anatomy.intensity, anatomy.cortical_loss, anatomy.temporal_loss)
    if min(voxel_size) < _FINE:
        return 1, numpy.array(LATTICE_ORIGIN), *maps, anatomy.head
    head, origin = coarse_lattice(anatomy.head, 2)
    # a block of 2 mm is a blur of its own: a variance of 4/12 square millimetres
    sigma = [numpy.sqrt((_BLUR * size) ** 2 - 4 / 12) / 2 for size in voxel_size]
    blurred = (ndimage.gaussian_filter(coarse_lattice(array, 2)[0], sigma) for array in maps)
    return 2, origin, *blurred, head > 0.5


@lru_cache(maxsize=1)
def _head_surface() -> numpy.ndarray:
    """Give points on the skin of the average head, shape (3, n), without the neck that fades away."""
    head, origin = coarse_lattice(load_anatomy().head, 5)
    solid = head > 0.3
    points = numpy.argwhere(solid & ~ndimage.binary_erosion(solid)) * 5.0 + origin
    return points[points[:, 2] > FADE_START].T


@lru_cache(maxsize=4)
def _deformation(now: Anatomy) -> tuple[Deformation, tuple[float, float]]:
    """Make the deformation of a head and its volumes; several scans of one visit share them."""
    deformation = deform(now.head_seed, now.ventricle_scale, now.hippocampus_scale)
    return deformation, structure_volumes(deformation)
