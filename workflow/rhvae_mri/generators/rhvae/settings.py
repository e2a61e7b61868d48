"""The settings of the RHVAE, of its training and of its sampler, with the study's values as defaults.

A value outside its bounds is a StudyError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rhvae_mri.io.errors import StudyError

RECONSTRUCTIONS = ("bce", "mse")
NETWORKS = ("mlp", "convolutional")
INTEGRATORS = ("published", "generalized")
ACTIVATIONS = ("relu", "none")


@dataclass(frozen=True)
class RHVAESettings:
    """The model: its networks, its metric and its Hamiltonian flow."""

    latent_dimension: int = 10  #: dimension d of the latent space
    leapfrog_steps: int = 3  #: number K of leapfrog steps between the encoder's draw and the decoder
    leapfrog_step_size: float = 1e-3  #: length of one leapfrog step
    sqrt_beta_zero: float = 0.3  #: square root of the initial temperature of the momentum, in (0, 1]
    #: temperature T of the metric: how far, in the latent space, a centroid's matrix reaches
    temperature: float = 1.5
    regularization: float = 1e-2  #: lambda, the multiple of the identity in the inverse metric
    #: the study's multi-layer perceptrons, or networks of 3-D convolutions; see `networks`
    networks: str = "mlp"
    #: widths of the hidden layers of the perceptrons, from input to output
    encoder_layers: tuple[int, ...] = (500, 500, 400)
    decoder_layers: tuple[int, ...] = (400, 500, 500)
    metric_layers: tuple[int, ...] = (400,)
    #: after the last hidden layer of the encoder, of the perceptrons; ``none`` in Pyraug's networks of these
    #: widths
    encoder_last_activation: str = "none"
    #: channels of the convolutions, from the image to the latent space
    channels: tuple[int, ...] = (8, 16, 32, 64)
    #: likelihood of a voxel: Bernoulli (binary cross entropy) or normal with unit variance (half the squared
    #: error). Both are summed over the voxels
    reconstruction: str = "bce"
    #: ``published`` computes what Pyraug 0.0.6 and pythae 0.1.2 compute, down to how they differentiate: see
    #: `hamiltonian` for how that differs from the equations. ``generalized`` is the leapfrog that is implicit
    #: in momentum and position, time-reversible up to the fixed-point iterations, and differentiated in full
    integrator: str = "published"
    #: relative change at which the implicit lines of a generalized step are solved; 0: after three iterations
    fixed_point_tolerance: float = 0.0

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
        _check_fractions(self, "fixed_point_tolerance")
        allowed = {"networks": NETWORKS, "reconstruction": RECONSTRUCTIONS, "integrator": INTEGRATORS}
        allowed["encoder_last_activation"] = ACTIVATIONS
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise _outside(self, name, " or ".join(values))


@dataclass(frozen=True)
class TrainingSettings:
    """The training loop."""

    learning_rate: float = 1e-4  #: step size of Adam
    batch_size: int = 100  #: images per optimizer step; their means are the metric's centroids in that step
    max_epochs: int = 5000  #: passes over the training set, at most
    patience: int = 50  #: training stops when the training loss has not improved for this many epochs
    #: share of the images that are not trained on; their loss then decides when training stops, and which
    #: weights are the best. 0: the training loss does
    hold_out_fraction: float = 0.0
    #: begin with the decoder's last biases at the logits of the mean image, instead of random ones
    start_at_mean_image: bool = False
    #: how often training may go back to its best weights with half the learning rate or half the leapfrog
    #: step, after a number that is not finite, an exploded loss or a jump of the latent positions
    max_recoveries: int = 10
    checkpoint_seconds: float = 600.0  #: seconds between two checkpoints

    def __post_init__(self) -> None:
        _check_positive(self, "learning_rate", "checkpoint_seconds")
        _check_counts(self, batch_size=1, max_epochs=1, patience=1, max_recoveries=0)
        _check_fractions(self, "hold_out_fraction")
        if not isinstance(self.start_at_mean_image, bool):
            raise _outside(self, "start_at_mean_image", "true or false")


@dataclass(frozen=True)
class SamplerSettings:
    """The Hamiltonian Monte Carlo chains in the latent space."""

    steps: int = 100  #: proposals per chain
    leapfrog_steps: int = 15  #: per proposal
    step_size: float = 0.03  #: of a leapfrog step

    def __post_init__(self) -> None:
        _check_counts(self, steps=0, leapfrog_steps=1)
        _check_positive(self, "step_size")


def split_settings(given: Mapping[str, Any]) -> tuple[RHVAESettings, TrainingSettings]:
    """Fill model and training with settings by name; StudyError for a name that neither of them has."""
    names = {kind: {field.name for field in fields(kind)} for kind in (RHVAESettings, TrainingSettings)}
    known = set().union(*names.values())
    if unknown := sorted(given.keys() - known):
        remedy = f"Known are {', '.join(sorted(known))}."
        raise StudyError(f"Unknown settings: {', '.join(unknown)}.", remedy=remedy)
    chosen = [{name: given[name] for name in given.keys() & own} for own in names.values()]
    return RHVAESettings(**chosen[0]), TrainingSettings(**chosen[1])


def _check_counts(settings: object, **least: int) -> None:
    for name, bound in least.items():
        if not _is_count(getattr(settings, name), bound):
            raise _outside(settings, name, f"a whole number of at least {bound}")


def _check_positive(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not _is_number(value) or not math.isfinite(value) or value <= 0:
            raise _outside(settings, name, "a number above 0")


def _check_fractions(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not _is_number(value) or not 0 <= value < 1:
            raise _outside(settings, name, "a number of at least 0 and below 1")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _outside(settings: object, name: str, rule: str) -> StudyError:
    value = getattr(settings, name)
    return StudyError(f"The setting {name} is {value!r}.", where=name, remedy=f"Give {rule}.")
