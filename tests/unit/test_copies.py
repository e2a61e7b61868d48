"""Generators that carry no information: what their images are."""

import math

import numpy
import pytest
from fitted_generators import fit, images

from rhvae_mri.generators.copies import Jitter
from rhvae_mri.io.errors import StudyError


def test_the_class_mean_is_decoded_each_time():
    generator = fit("class_mean")
    codes = generator.draw(3, seed=1)
    assert not codes.any()
    assert codes.shape == (3, 1)
    expected = images().astype(float).mean(0)
    assert numpy.allclose(generator.decode(codes), expected, atol=1e-7)


def test_jittered_images_are_training_images_with_noise_of_its_share():
    stack = (0.5 + 0.02 * numpy.random.default_rng(1).standard_normal((5, 12, 11, 10))).astype(numpy.float32)
    fitted = Jitter.fit(stack, seed=1, noise_share=0.5)
    codes = fitted.draw(60, seed=4)
    assert numpy.array_equal(codes, codes.round())
    assert set(codes[:, 0]) == set(range(5))
    assert codes[:, 1].max() < 2**24
    noise = fitted.decode(codes) - stack[codes[:, 0].astype(int)]
    share = noise.var() / stack.astype(float).var(0).mean()
    assert share == pytest.approx(0.5, abs=5 * 0.5 * math.sqrt(2 / noise.size))
    assert abs(noise.mean()) < 5 * noise.std() / math.sqrt(noise.size)
    correlations = numpy.corrcoef(noise.reshape(60, -1))[numpy.triu_indices(60, 1)]
    assert abs(correlations).max() < 6 / math.sqrt(noise[0].size)


def test_jitter_without_noise_gives_the_training_images():
    fitted = Jitter.fit(images(), seed=1, noise_share=0)
    codes = fitted.draw(9, seed=1)
    assert numpy.array_equal(fitted.decode(codes), images()[codes[:, 0].astype(int)])
    assert Jitter.fit(images(), seed=1).noise_sd ** 2 == pytest.approx(0.7 * images().var(0).mean(), rel=1e-5)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, True, "0.5"])
def test_jitter_refuses_a_share_that_is_none(value):
    with pytest.raises(StudyError, match="noise_share"):
        Jitter.fit(images(), seed=1, noise_share=value)
