"""Training of an RHVAE or VAE: deterministic from a seed, resumable, and stopped early.

What stops it is the training loss, or the loss of images that are held out.

`TrainingRun.train_epoch` is the loop. What surrounds it keeps a training on its path: a batch whose loss or
latent positions have left it sends the training back to its best weights, with smaller steps.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor
from tqdm import tqdm

from rhvae_mri.generators.rhvae import kernels
from rhvae_mri.generators.rhvae.best_weights import BestWeights
from rhvae_mri.generators.rhvae.checks import check_images, check_networks
from rhvae_mri.generators.rhvae.kernels.adam import Adam
from rhvae_mri.generators.rhvae.kernels.voxel_layers import collected_factors, factor_norms
from rhvae_mri.generators.rhvae.model import RHVAE, Autoencoder
from rhvae_mri.generators.rhvae.networks import Decoder, Networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
from rhvae_mri.io.errors import StudyError
from rhvae_mri.runtime.checkpoints import RegularCheckpoints, TrainingState, run_digest
from rhvae_mri.runtime.randomness import own_random_state
from rhvae_mri.study.seeds import derive_seed

logger = logging.getLogger(__name__)

#: A batch whose loss is this many times the lowest loss so far has left the path.
EXPLOSION = 100.0

#: So has a batch with a latent position z_K whose norm is this many times the largest of the recent epochs
#: (or, where that is more, the norm of a usual draw from the prior). Chosen from runs on noisy blobs of
#: 28x34x30 voxels: while the loss fell, norms stayed below 6 times that of a usual draw; before the loss
#: exploded they rose by a factor of 10 or more in one step.
LATENT_JUMP = 10.0

#: How many epochs are recent.
RECENT_EPOCHS = 10

#: Voxels that are empty in all images would begin with an infinite logit, so mean values are kept this far
#: from 0 and 1 [ours].
LEAST_MEAN = 1e-3

#: The step sizes that training may halve, in words.
STEP_SIZES = {"learning_rate": "learning rate", "leapfrog_step_size": "leapfrog step"}


@dataclass(frozen=True)
class Trained:
    """A trained model and how it came about."""

    #: with the weights of the epoch of lowest loss, and an RHVAE's final metric, in evaluation mode
    model: Any
    #: one row per epoch: epoch (from 1), the training loss and its terms (means over the images), the largest
    #: latent_norm of z_K, learning_rate, with a flow leapfrog_step_size, and with images that are held out
    #: hold_out_loss
    history: list[dict[str, float]]
    best_epoch: int  #: the epoch whose weights were kept
    #: where training went back to its last good weights: epoch, batch (0: when the model was finished),
    #: fault, and the learning_rate and, with a flow, leapfrog_step_size that it went on with
    recoveries: list[dict[str, float | str]]
    final_loss: float  #: mean of the training images under ``model``


def train_rhvae(
    images: numpy.ndarray,
    settings: RHVAESettings,
    training: TrainingSettings,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    digest: str = "",
    progress: bool = False,
    networks: Networks | None = None,
    kind: type[Autoencoder] = RHVAE,
) -> Trained:
    """Train an RHVAE, or another autoencoder, on a set of images that is held on the device.

    Parameters
    ----------
    images : numpy.ndarray, shape (n, *image_shape)
        The training set, float32 or float64 (the model computes in the same), with values in [0, 1].
    settings : RHVAESettings
        The model.
    training : TrainingSettings
        The training loop.
    seed : int
        Determines the initial weights, the order of the images and the noise; the draws are made on the
        CPU, so that they are the same for every device. The global random state is the same before and
        after.
    device : torch.device or str
        Where to compute.
    checkpoint : pathlib.Path, optional
        A file that holds the state of an unfinished training. It is read if it is there, written from time
        to time and when a signal asks to stop, and left for the caller to remove. On a CPU, and on a GPU
        that `choose_device` has set up, a resumed training gives the same model, bit for bit, as an
        uninterrupted one.
    digest : str
        Identifies data and code. A checkpoint of another digest is not used, nor is one of another model,
        seed, learning rate or batch size; the numbers of epochs may be changed for a training that goes on.
    progress : bool
        Whether to draw a progress bar on standard error.
    networks : Networks, optional
        Your own modules instead of those that the settings name.
    kind : type
        The class of the model.

    Returns
    -------
    Trained
        The model and its history.

    Raises
    ------
    StudyError
        If the images are not fit for training, your own modules do not fit the images, or training still
        leaves the path after ``max_recoveries`` returns with smaller steps.
    TrainingInterrupted
        If a signal asked to stop and the checkpoint is written.
    """
    check_images(images)
    images = numpy.ascontiguousarray(images)
    identity = {
        "state": 2,  # number of the layout of the state
        "model": kind.__name__,
        "images_and_code": digest,
        "settings": asdict(settings),
        "optimizer": [training.learning_rate, training.batch_size],
        "start": [training.hold_out_fraction, training.start_at_mean_image],
        "seed": seed,
        "images": [str(images.dtype), *images.shape, hashlib.sha256(images.data).hexdigest()],
        # the structure of the user's own modules, and their weights by name and shape
        "networks": None
        if networks is None
        else [
            " ".join([str(module), *(f"{name} {tuple(w.shape)}" for name, w in module.state_dict().items())])
            for module in networks
        ],
    }
    with (
        own_random_state(derive_seed(seed, "modules"), torch.device(device)),
        RegularCheckpoints(checkpoint, run_digest(identity), training.checkpoint_seconds) as checkpoints,
    ):
        run = TrainingRun(images, settings, training, seed, device, networks, kind)
        if checkpoints.restore(run.state):
            run.resume()
            logger.info("Going on after epoch %d, from %s.", run.epoch, checkpoint)
        with tqdm(total=training.max_epochs, initial=run.epoch, disable=not progress, unit="epoch") as bar:
            while not run.finished():
                if run.train_epoch():
                    bar.update()
                    bar.set_postfix(loss=f"{run.history[-1]['loss']:.6g}", refresh=False)
                checkpoints.after_epoch(run.state)
        epoch, final_loss = run.finish()
        return Trained(run.model, run.history, epoch, run.recoveries, final_loss)


class TrainingRun:
    """The state of one training, and its steps; the parameters are those of `train_rhvae`."""

    def __init__(
        self,
        images: numpy.ndarray,
        settings: RHVAESettings,
        training: TrainingSettings,
        seed: int,
        device: torch.device | str,
        networks: Networks | None,
        kind: Callable[..., Autoencoder] = RHVAE,
    ) -> None:
        self.training = training
        self.seed = seed
        held_out = _choose_held_out(len(images), training.hold_out_fraction, seed)
        kept = images[~held_out] if held_out.any() else images  # without a copy
        self.images = torch.tensor(kept, device=device)  # all of them, at once
        self.held_out = torch.tensor(images[held_out], device=device)
        self._judged = "hold_out_loss" if len(self.held_out) else "loss"  # its column in the history
        self.generator = torch.Generator().manual_seed(seed)
        if networks is not None:
            check_networks(networks, settings, images.shape[1:])
        self.model = kind(settings, images.shape[1:], networks, self.generator)
        self.model.to(device=device, dtype=self.images.dtype)
        if training.start_at_mean_image:
            self._start_at_mean_image()
        self.optimizer = self._new_optimizer(training.learning_rate)
        self.lowest_loss = math.inf  # up to the batch under way, and
        self.largest_norm = 0.0  # the largest norm of z_K in the epoch under way
        self.state = TrainingState(
            modules={"model": self.model},
            optimizers={"adam": self.optimizer},
            generators={"draws": self.generator},
            # "untouched": no optimizer step was taken since the start, or since training went back
            progress={"history": [], "recoveries": [], "untouched": True},
        )
        self.best = BestWeights(self.model, self.state)

    @property
    def history(self) -> list[dict[str, float]]:
        """One row per finished epoch."""
        return self.state.progress["history"]

    @property
    def recoveries(self) -> list[dict[str, float | str]]:
        """One row per return to good weights."""
        return self.state.progress["recoveries"]

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.history)

    def finished(self) -> bool:
        """Whether the last epoch is done or the loss has stopped falling."""
        waited = self.epoch - self.best.epoch
        return self.epoch >= self.training.max_epochs or waited >= self.training.patience

    def resume(self) -> None:
        """Take up what was restored into the state."""
        self.best.resume()
        if self.recoveries and self.model.has_flow:
            self._set_leapfrog_step(float(self.recoveries[-1]["leapfrog_step_size"]))

    def train_epoch(self) -> bool:
        """Pass once over the training set; False if a batch had a fault and training went back."""
        n, size, device = len(self.images), self.training.batch_size, self.images.device
        order = torch.randperm(n, generator=self.generator).to(device)
        noise = self._noise(self.generator, n)
        terms = self.model.loss_terms
        totals = torch.zeros(len(terms), dtype=torch.float64, device=device)
        self.lowest_loss = self._lowest_loss()
        self.largest_norm = 0.0
        self.model.train()
        for batch, (chosen, drawn) in enumerate(
            zip(order.split(size), noise.split(size, dim=1), strict=True)
        ):
            with collected_factors(self.model.voxel_layers()):
                output = self.model(self.images[chosen], *drawn)
                fault = self._step(output)
                self.optimizer.zero_grad()  # so that the gradients make room for the next flow
            if fault:
                self._go_back(batch, fault)
                return False
            means = [getattr(output, name).detach().mean() for name in terms]
            totals += len(chosen) * torch.stack(means).double()
        row = {"epoch": self.epoch + 1, **dict(zip(terms, (totals / n).tolist(), strict=True))}
        row |= {"latent_norm": self.largest_norm} | self._step_sizes()
        if len(self.held_out):
            row["hold_out_loss"] = self._hold_out_loss()
        self.history.append(row)
        best = self.best.epoch
        if not best or row[self._judged] < self.history[best - 1][self._judged]:
            self.best.propose(self.epoch)
        return True

    def finish(self) -> tuple[int, float]:
        """Give the model the best weights and the final metric; returns their epoch and the final loss.

        If the last step has spoiled the best weights, those before them are taken. Where the loss is not
        finite or has exploded under both, although their metrics are finite, it is the flow that leaves the
        path along the final metric, and the leapfrog step is halved. A model without flow is then no result.
        """
        self.model.eval()
        self.lowest_loss = self._lowest_loss()
        while True:
            is_the_flow = False
            for epoch in self.best.each():
                self.model.complete(self.images)
                if epoch and self._is_finite():
                    is_the_flow = self.model.has_flow
                    loss = self._final_loss()
                    if not self._has_left_the_path(loss):
                        return epoch, loss
            if not is_the_flow:
                concerned = "metric" if self.model.has_flow else "loss"
                raise StudyError(
                    f"The weights or the {concerned} of the trained {self._name} are not finite.",
                    cause="The learning rate is too large for images of this size.",
                    remedy=f"Lower the learning_rate of the {self._name}.",
                )
            self._recover(self.epoch, 0, "the loss of the final model has exploded", "leapfrog_step_size")

    def _is_finite(self) -> bool:
        values = self.model.state_dict().values()
        return all(bool(value.isfinite().all()) for value in values if value.is_floating_point())

    def _final_loss(self) -> float:
        return self._mean_loss(self.images, "final_loss")

    def _hold_out_loss(self) -> float:
        """The loss of the held-out images, infinite if it is not finite, so that no epoch is worse."""
        self.model.eval()  # so that modules of the user learn nothing from them,
        self.model.training = True  # with the metric of the batch, as in the training loss
        loss = self._mean_loss(self.held_out, "hold_out_loss")
        return loss if math.isfinite(loss) else math.inf

    @torch.no_grad()
    def _mean_loss(self, stack: Tensor, name: str) -> float:
        """The loss of images with draws that are the same at each call, so that weights can be compared."""
        noise = self._noise(torch.Generator().manual_seed(derive_seed(self.seed, name)), len(stack))
        size = self.training.batch_size
        batches = zip(stack.split(size), noise.split(size, dim=1), strict=True)
        total = sum(len(images) * self.model(images, *drawn).loss.item() for images, drawn in batches)
        return total / len(stack)

    @torch.no_grad()
    def _start_at_mean_image(self) -> None:
        """Start the decoder near the mean image, which the first epochs learn before anything else [ours]."""
        decoder = self.model.decoder
        if not isinstance(decoder, Decoder):
            raise StudyError(
                f"A {type(decoder).__name__} has no bias for each voxel to start at the mean image.",
                where="start_at_mean_image",
                remedy="Switch it off, or set `networks: mlp`.",
            )
        decoder.logits.bias.copy_(torch.logit(self.images.mean(0).flatten(), eps=LEAST_MEAN))

    def _noise(self, generator: torch.Generator, n: int) -> Tensor:
        """Draw what the model needs for each of n images, on the CPU."""
        shape = (self.model.n_draws, n, self.model.settings.latent_dimension)
        return torch.randn(*shape, generator=generator, dtype=self.images.dtype).to(self.images.device)

    def _lowest_loss(self) -> float:
        return min((abs(row["loss"]) for row in self.history), default=math.inf)

    def _has_left_the_path(self, loss: float) -> bool:
        return not math.isfinite(loss) or loss > EXPLOSION * max(self.lowest_loss, 1.0)

    def _step(self, output: Any) -> str | None:
        """Take an optimizer step, unless the batch has a fault, which is returned."""
        output.loss.backward()
        size = self._gradient_size()
        norm = output.position.detach().norm(dim=1).max()
        # the only numbers of the batch for which the CPU waits
        loss, size, norm = torch.stack([output.loss.detach(), size, norm]).tolist()
        if not (math.isfinite(loss) and math.isfinite(size)):
            return "the loss or its gradient is not finite"
        if self._has_left_the_path(loss):
            return f"the loss has exploded to {loss:.3g}"
        usual = math.sqrt(output.position.shape[1])  # of a draw from the prior
        recent = [usual, *(row["latent_norm"] for row in self.history[-RECENT_EPOCHS:])]
        if not norm <= LATENT_JUMP * max(recent):
            return f"the norm of the latent positions has jumped to {norm:.3g}"
        self.lowest_loss = min(self.lowest_loss, abs(loss))
        self.largest_norm = max(self.largest_norm, norm)
        self.best.confirm()
        self.optimizer.step()
        self.state.progress["untouched"] = False
        return None

    def _go_back(self, batch: int, fault: str) -> None:
        """Return to good weights with a smaller step.

        Where no optimizer step was taken from weights that are known to be good, the leapfrog step is to
        blame and is halved; otherwise, or without a flow, the learning rate is.
        """
        is_the_flow = self.model.has_flow and self.state.progress["untouched"]
        size = "leapfrog_step_size" if is_the_flow else "learning_rate"
        rate = self._recover(self.epoch + 1, batch + 1, fault, size)["learning_rate"]
        self.best.go_back()
        self.optimizer = self._new_optimizer(rate)
        self.state.optimizers = {"adam": self.optimizer}
        self.state.progress["untouched"] = True

    def _recover(self, epoch: int, batch: int, fault: str, halved: str) -> dict[str, float]:
        """Take note of a fault and give the step sizes that training goes on with, if it may."""
        where = f"epoch {epoch}, batch {batch}" if batch else f"epoch {epoch}, the last one"
        sizes = self._step_sizes()
        if len(self.recoveries) >= self.training.max_recoveries:
            listed = " or ".join(f"{STEP_SIZES[name]} ({size:.2g})" for name, size in sizes.items())
            raise StudyError(
                f"The {self._name} cannot be trained: {fault}, after {len(self.recoveries)} recoveries.",
                where=where,
                cause=f"Too large: {listed}.",
                remedy=f"Lower {' or '.join(sizes)} of the {self._name}, or raise the batch size.",
            )
        sizes[halved] /= 2
        self.recoveries.append({"epoch": epoch, "batch": batch, "fault": fault, **sizes})
        if self.model.has_flow:
            self._set_leapfrog_step(sizes["leapfrog_step_size"])
        action = f"{STEP_SIZES[halved]}, {sizes[halved]:.3g}"
        logger.warning("At %s %s: back to the last good weights, with half the %s.", where, fault, action)
        return sizes

    @property
    def _name(self) -> str:
        return type(self.model).__name__

    def _step_sizes(self) -> dict[str, float]:
        sizes = {"learning_rate": self.optimizer.param_groups[0]["lr"]}
        if self.model.has_flow:
            sizes["leapfrog_step_size"] = self.model.settings.leapfrog_step_size
        return sizes

    def _set_leapfrog_step(self, size: float) -> None:
        self.model.settings = replace(self.model.settings, leapfrog_step_size=size)

    def _new_optimizer(self, rate: float) -> Adam | torch.optim.Optimizer:
        if kernels.enabled:
            return Adam(self.model.parameters(), rate, self.model.voxel_layers())
        return torch.optim.Adam(self.model.parameters(), rate, fused=True)

    @torch.no_grad()
    def _gradient_size(self) -> Tensor:
        """A bound of the norm of the gradient, of shape (); finite only if the whole gradient is."""
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        norms = [torch.linalg.vector_norm(gradient) for gradient in gradients]
        return torch.stack([*norms, *factor_norms(self.model.voxel_layers())]).sum()


def _choose_held_out(n: int, fraction: float, seed: int) -> numpy.ndarray:
    """Draw which of n images are held out, as (n,) bool: with a fraction at least one, without it none."""
    count = max(1, round(fraction * n)) if fraction else 0
    if n - count < 2:
        raise StudyError(
            f"Of {n} images {count} would be held out, which leaves {n - count} to train on.",
            where="hold_out_fraction",
            remedy="Lower it, or set it to 0: an RHVAE needs at least two images.",
        )
    chosen = numpy.zeros(n, dtype=bool)
    chosen[numpy.random.default_rng(derive_seed(seed, "hold_out")).permutation(n)[:count]] = True
    return chosen
