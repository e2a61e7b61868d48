import numpy
import pytest
from phantoms import coordinates, grid, head

from rhvae_mri.quality.masks import block_centres, block_means, brain_mask, dice, head_mask
from rhvae_mri.quality.similarity import correlation, normalized_mutual_information


@pytest.fixture(scope="module")
def scene():
    """Points and voxels of the phantom at 4 mm."""
    shape, affine = grid(4.0)
    points = coordinates(shape, affine)
    return points, head(points)


def noisy(voxels, level=4.0):
    return numpy.abs(voxels + numpy.random.default_rng(1).normal(0, level, voxels.shape))


def ellipsoid(points, centre, axes):
    return (((points - centre) / axes) ** 2).sum(axis=-1) < 1


def test_the_head_mask_is_the_filled_head(scene):
    points, voxels = scene
    truth = ellipsoid(points, (0, -18, 0), (76, 92, 80))
    mask = head_mask(noisy(voxels), 4.0)
    assert dice(mask, truth) > 0.97
    assert mask[truth & (voxels < 20)].mean() > 0.97  # skull and ventricles count as head


def test_the_brain_mask_is_the_brain_with_its_ventricles_and_without_scalp(scene):
    points, voxels = scene
    brain = ellipsoid(points, (0, -18, 2), (65, 81, 68))
    mask = brain_mask(noisy(voxels), brain, 4.0)
    assert dice(mask, brain) > 0.95
    assert mask[ellipsoid(points, (-12, -14, 12), (8, 26, 14))].mean() > 0.95
    assert mask[~ellipsoid(points, (0, -18, 0), (70, 86, 74))].mean() < 0.001


def test_the_brain_mask_follows_a_brain_that_lies_elsewhere(scene):
    points, _ = scene
    expected = ellipsoid(points, (0, -18, 2), (65, 81, 68))
    moved = head(points - numpy.array([0, 12, 12]))
    assert dice(brain_mask(noisy(moved), expected, 4.0), expected) < 0.85
    assert not brain_mask(numpy.zeros(expected.shape), expected, 4.0).any()


def test_blocks_have_their_means_and_centres():
    voxels = numpy.random.default_rng(0).uniform(0, 1, (6, 7, 8))
    means = block_means(voxels, 3)
    assert means.shape == (2, 2, 2)
    assert means[1, 0, 1] == pytest.approx(voxels[3:6, 0:3, 3:6].mean())
    uneven = block_means(voxels, (2, 1, 4))
    assert uneven.shape == (3, 7, 2)
    assert uneven[2, 5, 1] == pytest.approx(voxels[4:6, 5, 4:8].mean())
    index = numpy.stack(numpy.meshgrid(*map(numpy.arange, voxels.shape), indexing="ij"))
    centres = [block_means(axis.astype(float), (2, 1, 4))[2, 5, 1] for axis in index]
    assert (block_centres((2, 1, 4)) @ [2, 5, 1, 1])[:3] == pytest.approx(centres)


def test_the_measures_equal_their_formulas():
    random = numpy.random.default_rng(0)
    a, b = random.uniform(0, 1, (2, 12, 14, 16))
    b += a
    mask = random.random(a.shape) > 0.3
    x, y = (numpy.clip(v[mask], *numpy.quantile(v[mask], [0.02, 0.98])) for v in (a, b))
    assert correlation(a, b, mask) == pytest.approx(numpy.corrcoef(x, y)[0, 1])
    assert correlation(numpy.ones_like(a), b, mask) == 0
    first, second = a > 0.5, b > 0.4
    shared, total = (first & second).sum(), first.sum() + second.sum()
    assert dice(first, second) == pytest.approx(2 * shared / total)
    assert dice(first & False, second & False) == 0
    levels = [numpy.minimum((32 * (v - v.min()) / numpy.ptp(v)).astype(int), 31) for v in (x, y)]
    entropies = []
    for labels in (levels[0], levels[1], 32 * levels[0] + levels[1]):
        shares = numpy.unique(labels, return_counts=True)[1] / labels.size
        entropies.append(-(shares * numpy.log(shares)).sum())
    expected = (entropies[0] + entropies[1]) / entropies[2]
    assert normalized_mutual_information(a, b, mask) == pytest.approx(expected, rel=1e-3)
    assert normalized_mutual_information(a, numpy.ones_like(a), mask) == pytest.approx(1)
