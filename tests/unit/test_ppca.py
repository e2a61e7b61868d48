"""Probabilistic principal components against other libraries and their own closed forms."""

import math

import numpy
import pytest
from fitted_generators import images
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from rhvae_mri.generators.ppca import PPCA
from rhvae_mri.io.errors import StudyError


def linear_images(n, shape, seed=0):
    """Images of four directions and noise, far from the bounds."""
    draw = numpy.random.default_rng(seed)
    v = math.prod(shape)
    scales = numpy.array([[0.08], [0.05], [0.03], [0.01]])
    values = 0.5 + draw.standard_normal((n, 4)) @ (scales * draw.standard_normal((4, v)) / 2)
    values += 0.02 * draw.standard_normal((n, v))
    assert 0 < values.min() < values.max() < 1
    return values.reshape(n, *shape)


def test_ppca_is_that_of_scikit_learn():
    """scikit-learn's eigenvalues have the divisor n - 1, ours n; so the variances differ by that ratio alone.

    What is left is rounding, of variances (relative 1e-12) and of sums over voxels (1e-11).
    """
    n, shape, d = 200, (3, 4, 2), 3
    stack = linear_images(n, shape)
    ours = PPCA.fit(stack, seed=1, latent_dimension=d)
    theirs = PCA(d, svd_solver="full").fit(stack.reshape(n, -1))
    ratio = n / (n - 1)
    assert ours.noise_variance * ratio == pytest.approx(theirs.noise_variance_, rel=1e-12)
    covariance = ours.weights @ ours.weights.T + ours.noise_variance * numpy.eye(24)
    assert numpy.allclose(covariance * ratio, theirs.get_covariance(), rtol=0, atol=1e-15)
    others = linear_images(5, shape, seed=1)
    scaled = PPCA(ours.mean, ours.weights * math.sqrt(ratio), ours.noise_variance * ratio)
    measured = scaled.log_density(others, seed=0)["log_density"][1]
    assert measured == pytest.approx(theirs.score_samples(others.reshape(5, -1)), rel=1e-11)


def test_no_other_variances_make_the_training_images_more_likely():
    """The reason for the divisor n."""
    stack = linear_images(12, (4, 3))
    best = PPCA.fit(stack, seed=1, latent_dimension=2)

    def likelihood(weights, noise_variance):
        return PPCA(best.mean, weights, noise_variance).log_density(stack, seed=0)["log_density"][1].sum()

    highest = likelihood(best.weights, best.noise_variance)
    for factor in (0.95, 12 / 11, 1.05):
        assert likelihood(best.weights * math.sqrt(factor), best.noise_variance * factor) < highest
        assert likelihood(best.weights, best.noise_variance * factor) < highest
        assert likelihood(best.weights * math.sqrt(factor), best.noise_variance) < highest


def test_the_likelihood_and_posterior_are_those_of_the_whole_covariance_with_fewer_images_than_voxels():
    stack = linear_images(9, (5, 4))
    fitted = PPCA.fit(stack, seed=1, latent_dimension=3)
    covariance = fitted.weights @ fitted.weights.T + fitted.noise_variance * numpy.eye(20)
    others = numpy.concatenate([stack, linear_images(4, (5, 4), seed=1)])
    expected = multivariate_normal(fitted.mean.ravel(), covariance).logpdf(others.reshape(-1, 20))
    assert fitted.log_density(others, seed=0)["log_density"][1] == pytest.approx(expected, rel=1e-10)
    centred = others.reshape(-1, 20) - fitted.mean.ravel()
    means = centred @ numpy.linalg.solve(covariance, fitted.weights)
    assert numpy.allclose(fitted.encode(others), means, atol=1e-5)  # codes are float32


def test_many_decoded_draws_have_the_moments_of_the_model():
    n = 20000
    fitted = PPCA.fit(linear_images(30, (3, 2, 2)), seed=1, latent_dimension=4)
    decoded = fitted.decode(fitted.draw(n, seed=3)).reshape(n, -1).astype(float)
    assert 0 < decoded.min() < decoded.max() < 1  # nothing was clipped
    covariance = fitted.weights @ fitted.weights.T
    variances = covariance.diagonal()
    assert (abs(decoded.mean(0) - fitted.mean.ravel()) < 5 * numpy.sqrt(variances / n)).all()
    spread = numpy.sqrt((numpy.outer(variances, variances) + covariance**2) / n)  # of an estimated covariance
    assert (abs(numpy.cov(decoded.T) - covariance) < 5 * spread).all()


def test_values_beyond_the_bounds_are_clipped():
    fitted = PPCA(numpy.array([0.2, 0.9]), numpy.array([[1.0], [1.0]]), numpy.array(0.1))
    decoded = fitted.decode(numpy.array([[0.5], [-1]], dtype=numpy.float32))
    assert decoded.tolist() == [[pytest.approx(0.7), 1], [0, 0]]


@pytest.mark.parametrize(("n", "used"), [(7, 6), (2, 1)])
def test_components_beyond_what_the_images_span_are_not_used(n, used):
    fitted = PPCA.fit(images(n), seed=1, latent_dimension=10)
    assert fitted.weights.shape == (120, used)
    assert fitted.noise_variance == 0
    assert fitted.log_density(images(n), seed=0) == {}
    assert numpy.allclose(fitted.decode(fitted.encode(images(n))), images(n), atol=1e-5)
    assert PPCA.fit(images(50, (2, 3)), seed=1, latent_dimension=10).weights.shape == (6, 5)


def test_images_that_are_all_the_same_are_decoded_for_every_code():
    same = numpy.repeat(images(1), 4, axis=0)
    fitted = PPCA.fit(same, seed=1)
    assert numpy.allclose(fitted.decode(fitted.draw(3, seed=1)), same[:3], atol=1e-7)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3"])
def test_ppca_refuses_a_latent_dimension_that_is_none(value):
    with pytest.raises(StudyError, match="latent_dimension"):
        PPCA.fit(images(), seed=1, latent_dimension=value)
