"""How a scanner sees a head, on plain arrays: site, position in the box, coil shading, noise and motion."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy

from rhvae_mri.study.seeds import derive_seed

#: Size of the scanned box in mm, from left to right, back to front and bottom to top of the patient.
FIELD_OF_VIEW = (212.0, 256.0, 256.0)

#: The point of the average head (MNI, mm) that an unshifted scan has in the middle of its box.
HEAD_CENTRE = (0.0, -4.0, -8.0)

#: Largest shift of the head from there (mm), and largest rotation about each axis (degrees).
LARGEST_SHIFT, LARGEST_ROTATION = 15.0, 10.0

#: Exponents of x, y and z of the terms of the log bias field, in the order of its coefficients.
BIAS_TERMS = tuple(e for e in itertools.product(range(4), repeat=3) if sum(e) <= 3)

# before scaling: standard deviation of the coefficients by degree of the term, and mean of that of z, as head
# coils receive less from the neck; then the smallest and largest standard deviation of the log field in the
# head
_BIAS_SPREAD, _FADE_TO_NECK, _BIAS_STRENGTH = (0.0, 1.0, 1.0, 0.4), 1.2, (0.11, 0.17)


@dataclass(frozen=True)
class Scanner:
    """A site's scanner: factor on the voxel size in the plane, signal of white matter, exponent, noise."""

    in_plane: float
    white_matter: float
    gamma: float
    noise: float


def site_scanner(cohort: str, site: int, field_strength: float) -> Scanner:
    """Give the scanner of a site; the same in every study, since it is a property of the site."""
    random = numpy.random.default_rng(derive_seed(0, "scanner", cohort, site, f"{field_strength:g}"))
    return Scanner(
        in_plane=float(random.choice([1.0, 1.0, 1.1, 1.25])),
        white_matter=float(random.uniform(500, 850)),
        gamma=float(random.uniform(0.85, 1.15)),
        noise=float(random.uniform(0.017, 0.025) * 3.0 / field_strength),
    )


def scan_box(voxel_size: tuple[float, float, float]) -> tuple[tuple[int, int, int], numpy.ndarray]:
    """Give shape and affine (RAS+) of a scan whose box is centred on the scanner's origin."""
    x, y, z = numpy.ceil(numpy.divide(FIELD_OF_VIEW, voxel_size) - 1e-6).astype(int).tolist()
    affine = numpy.diag([*voxel_size, 1.0])
    affine[:3, 3] = -(numpy.array((x, y, z)) - 1) / 2 * voxel_size
    return (x, y, z), affine


def head_size(head_seed: int, sex: str) -> numpy.ndarray:
    """Draw the size and proportions of a head, within about 5 % of the average."""
    random = numpy.random.default_rng(derive_seed(head_seed, "size"))
    common = (0.012 if sex == "M" else -0.012) + 0.012 * random.standard_normal()
    scales = common + 0.012 * random.standard_normal(3)
    shears = 0.012 * random.standard_normal(3)
    size = numpy.diag(1 + numpy.clip(scales, -0.05, 0.05))
    size[numpy.triu_indices(3, 1)] = numpy.clip(shears, -0.03, 0.03)
    return size


def draw_pose(size: numpy.ndarray, surface: numpy.ndarray, margin: float, seed: int) -> numpy.ndarray:
    """Draw where a head lies in the scanner, so that all of it is in the box."""
    random = numpy.random.default_rng(derive_seed(seed, "pose"))
    angles = numpy.deg2rad(random.uniform(-LARGEST_ROTATION, LARGEST_ROTATION, 3) * (1.0, 0.7, 0.8))
    pose = numpy.eye(4)
    pose[:3, :3] = _rotation(angles) @ size
    pose[:3, 3] = -pose[:3, :3] @ HEAD_CENTRE
    placed = pose[:3, :3] @ surface + pose[:3, 3:]
    half_box = numpy.array(FIELD_OF_VIEW) / 2 - margin
    lowest, highest = -half_box - placed.min(axis=1), half_box - placed.max(axis=1)
    middle = (lowest + highest) / 2
    # where the head hardly fits it goes to the middle of the box
    lowest = numpy.minimum(numpy.maximum(lowest, -LARGEST_SHIFT), middle)
    highest = numpy.maximum(numpy.minimum(highest, LARGEST_SHIFT), middle)
    pose[:3, 3] += random.uniform(lowest, highest)
    return pose


def misplace_box(pose: numpy.ndarray, seed: int) -> numpy.ndarray:
    """Move a head so far up that the box holds the neck, the face and the lowest part of the brain only."""
    random = numpy.random.default_rng(derive_seed(seed, "wrong_field_of_view"))
    cut = numpy.array([0.0, HEAD_CENTRE[1], random.uniform(-48, -30), 1.0])
    moved = pose.copy()
    moved[2, 3] += FIELD_OF_VIEW[2] / 2 - (pose @ cut)[2]
    return moved


def bias_field(shape: tuple[int, int, int], coefficients: numpy.ndarray) -> numpy.ndarray:
    """Evaluate a bias field: the exponential of a polynomial of degree 3."""
    axes = [numpy.linspace(-1, 1, count) if count > 1 else numpy.zeros(1) for count in shape]
    powers = [numpy.stack([axis**k for k in range(4)]).astype(numpy.float32) for axis in axes]
    cube = numpy.zeros((4, 4, 4), numpy.float32)
    cube[tuple(numpy.array(BIAS_TERMS).T)] = coefficients
    along_z = numpy.tensordot(cube, powers[2], 1)
    along_yz = numpy.einsum("ijz,jy->iyz", along_z, powers[1])
    return numpy.exp(numpy.tensordot(powers[0].T, along_yz, 1))


def draw_bias(head: numpy.ndarray, seed: int) -> numpy.ndarray:
    """Draw the coefficients of a bias field whose logarithm averages to zero over the head."""
    random = numpy.random.default_rng(derive_seed(seed, "bias"))
    spread = numpy.array([_BIAS_SPREAD[sum(exponents)] for exponents in BIAS_TERMS])
    coefficients = spread * random.standard_normal(len(BIAS_TERMS))
    coefficients[BIAS_TERMS.index((0, 0, 1))] += _FADE_TO_NECK
    strength = random.uniform(*_BIAS_STRENGTH)
    inside = numpy.log(bias_field(head.shape, coefficients)[head]).astype(float)
    coefficients *= strength / inside.std()
    coefficients[BIAS_TERMS.index((0, 0, 0))] = -inside.mean() * strength / inside.std()
    return coefficients


def add_noise(image: numpy.ndarray, standard_deviation: float, seed: int) -> numpy.ndarray:
    """Add Rician noise: the magnitude of the image plus complex Gaussian noise."""
    random = numpy.random.default_rng(derive_seed(seed, "noise"))
    noise = random.standard_normal((2, *image.shape), dtype=numpy.float32) * numpy.float32(standard_deviation)
    return numpy.hypot(image + noise[0], noise[1])


def add_motion(image: numpy.ndarray, voxel_size: tuple[float, float, float], seed: int) -> numpy.ndarray:
    """Spoil an image by head motion during the scan: ghosts and blur along the phase-encoding axis."""
    random = numpy.random.default_rng(derive_seed(seed, "motion"))
    lines = image.shape[1]
    jumps = random.standard_normal((3, lines)) * (random.random(lines) < 0.5)
    path = numpy.cumsum(jumps, axis=1)
    path *= 12.0 / path.std(axis=1, keepdims=True)
    # the order in which lines are measured is interleaved, which makes ghosts of the jumps
    order = numpy.argsort(numpy.arange(lines) % 3, kind="stable")
    shifts = numpy.empty_like(path)
    shifts[:, order] = path - path.mean(axis=1, keepdims=True)
    spectrum = numpy.fft.fftn(image)
    fx, fy, fz = numpy.ix_(*map(numpy.fft.fftfreq, image.shape, voxel_size))
    along_x, along_y, along_z = shifts[:, None, :, None]
    phase = fx * along_x + fy * along_y + fz * along_z
    return numpy.abs(numpy.fft.ifftn(spectrum * numpy.exp(-2j * numpy.pi * phase))).astype(numpy.float32)


def _rotation(angles: numpy.ndarray) -> numpy.ndarray:
    """Give the rotation matrix for angles (radians) about the x, y and z axes, in this order."""
    (sin_x, sin_y, sin_z), (cos_x, cos_y, cos_z) = numpy.sin(angles), numpy.cos(angles)
    about_x = numpy.array([[1, 0, 0], [0, cos_x, -sin_x], [0, sin_x, cos_x]])
    about_y = numpy.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    about_z = numpy.array([[cos_z, -sin_z, 0], [sin_z, cos_z, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
