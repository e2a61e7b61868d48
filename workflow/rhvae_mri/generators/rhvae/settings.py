"""The settings of the RHVAE, of its training and of its sampler, with the study's values as defaults.

A value outside its bounds is a StudyError.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rhvae_mri.io.errors import StudyError

RECONSTRUCTIONS = ("bce", "mse")
NETWORKS = ("mlp", "convolutional")
INTEGRATORS = ("published", "generalized")


@dataclass(frozen=True)
class RHVAESettings:
    """The model: its networks, its metric and its Hamiltonian flow.

    Attributes
    ----------
    latent_dimension : int
        Dimension d of the latent space.
    leapfrog_steps : int
        Number K of leapfrog steps between the encoder's draw and the decoder.
    leapfrog_step_size : float
        Length of one leapfrog step.
    sqrt_beta_zero : float
        Square root of the initial temperature of the momentum, in (0, 1].
    temperature : float
        Temperature T of the metric: how far, in the latent space, a centroid's matrix reaches.
    regularization : float
        Lambda, the multiple of the identity in the inverse metric.
    networks : {"mlp", "convolutional"}
        The study's multi-layer perceptrons, or networks of 3-D convolutions; see `networks`.
    encoder_layers, decoder_layers, metric_layers : tuple of int
        Widths of the hidden layers of the perceptrons, from input to output.
    channels : tuple of int
        Channels of the convolutions, from the image to the latent space.
    reconstruction : {"bce", "mse"}
        Likelihood of a voxel: Bernoulli (binary cross entropy) or normal with unit variance (half the
        squared error). Both are summed over the voxels.
    integrator : {"published", "generalized"}
        ``published`` computes what Pyraug 0.0.6 and pythae 0.1.2 compute, down to how they differentiate:
        see `hamiltonian` for how that differs from the equations. ``generalized`` is the leapfrog that is
        implicit in momentum and position, time-reversible up to the fixed-point iterations, and
        differentiated in full.
    """

    latent_dimension: int = 10
    leapfrog_steps: int = 3
    leapfrog_step_size: float = 1e-3
    sqrt_beta_zero: float = 0.3
    temperature: float = 1.5
    regularization: float = 1e-2
    networks: str = "mlp"
    encoder_layers: tuple[int, ...] = (500, 500, 400)
    decoder_layers: tuple[int, ...] = (400, 500, 500)
    metric_layers: tuple[int, ...] = (400,)
    channels: tuple[int, ...] = (8, 16, 32, 64)
    reconstruction: str = "bce"
    integrator: str = "published"

    def __post_init__(self) -> None:
        for name in ("encoder_layers", "decoder_layers", "metric_layers", "channels"):
            widths = tuple(getattr(self, name))
            object.__setattr__(self, name, widths)
            if not all(_is_count(width, 1) for width in widths) or (name == "channels" and not widths):
                raise _outside(self, name, "a list of whole numbers of at least 1 (channels: one or more)")
        _check_counts(self, latent_dimension=1, leapfrog_steps=0)
        _check_positive(self, "leapfrog_step_size", "sqrt_beta_zero", "temperature", "regularization")
        if self.sqrt_beta_zero > 1:
            raise _outside(self, "sqrt_beta_zero", "a number above 0 and at most 1")
        allowed = {"networks": NETWORKS, "reconstruction": RECONSTRUCTIONS, "integrator": INTEGRATORS}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise _outside(self, name, " or ".join(values))


@dataclass(frozen=True)
class TrainingSettings:
    """The training loop.

    Attributes
    ----------
    learning_rate : float
        Step size of Adam.
    batch_size : int
        Images per optimizer step; their means are the metric's centroids in that step.
    max_epochs : int
        Passes over the training set, at most.
    patience : int
        Training stops when the training loss has not improved for this many epochs.
    max_recoveries : int
        How often training may go back to its best weights with half the learning rate or half the leapfrog
        step, after a number that is not finite, an exploded loss or a jump of the latent positions.
    checkpoint_seconds : float
        Seconds between two checkpoints.
    """

    learning_rate: float = 1e-4
    batch_size: int = 100
    max_epochs: int = 5000
    patience: int = 50
    max_recoveries: int = 10
    checkpoint_seconds: float = 600.0

    def __post_init__(self) -> None:
        _check_positive(self, "learning_rate", "checkpoint_seconds")
        _check_counts(self, batch_size=1, max_epochs=1, patience=1, max_recoveries=0)


@dataclass(frozen=True)
class SamplerSettings:
    """The Hamiltonian Monte Carlo chains in the latent space."""

    steps: int = 100  #: proposals per chain
    leapfrog_steps: int = 15  #: per proposal
    step_size: float = 0.03  #: of a leapfrog step

    def __post_init__(self) -> None:
        _check_counts(self, steps=0, leapfrog_steps=1)
        _check_positive(self, "step_size")


def _check_counts(settings: object, **least: int) -> None:
    for name, bound in least.items():
        if not _is_count(getattr(settings, name), bound):
            raise _outside(settings, name, f"a whole number of at least {bound}")


def _check_positive(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value <= 0:
            raise _outside(settings, name, "a number above 0")


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _outside(settings: object, name: str, rule: str) -> StudyError:
    value = getattr(settings, name)
    return StudyError(f"The setting {name} is {value!r}.", where=name, remedy=f"Give {rule}.")
