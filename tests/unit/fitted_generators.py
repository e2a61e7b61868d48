"""Small images, and each built-in generator fitted to them once."""

from functools import cache

import numpy

from rhvae_mri.generators.copies import ClassMean, Jitter, RealSteps
from rhvae_mri.generators.ppca import PPCA
from rhvae_mri.generators.rhvae.generator import RHVAEGenerator
from rhvae_mri.generators.vae import VAEGenerator

SHAPE = (6, 5, 4)
NETWORK = {"latent_dimension": 3, "encoder_layers": (12,), "decoder_layers": (12,), "metric_layers": (6,)}
TRAINING = {"learning_rate": 2e-3, "batch_size": 3, "max_epochs": 5}

#: Class and settings of each generator.
GENERATORS = {
    "rhvae": (RHVAEGenerator, NETWORK | TRAINING),
    "vae": (VAEGenerator, NETWORK | TRAINING),
    "ppca": (PPCA, {"latent_dimension": 3}),
    "real_steps": (RealSteps, {}),
    "class_mean": (ClassMean, {}),
    "jitter": (Jitter, {"noise_share": 0.5}),
}


def images(n=7, shape=SHAPE, dtype=numpy.float32):
    return numpy.random.default_rng(0).random((n, *shape)).astype(dtype)


@cache
def fit(name):
    """Fit a generator; tests leave it as it is."""
    kind, settings = GENERATORS[name]
    return kind.fit(images(), seed=1, **settings)


def assert_same_arrays(one, other):
    """Equal to the last bit."""
    assert one.keys() == other.keys()
    for key, array in one.items():
        assert (array.shape, array.dtype) == (other[key].shape, other[key].dtype)
        assert array.tobytes() == other[key].tobytes()
