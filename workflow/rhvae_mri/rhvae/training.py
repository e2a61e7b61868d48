"""Training of an RHVAE: deterministic from a seed, resumable, and stopped early on the training loss."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy
import torch
from tqdm import tqdm

from rhvae_mri.errors import StudyError
from rhvae_mri.learning.checkpoints import TrainingState, restore_checkpoint, save_checkpoint
from rhvae_mri.learning.interrupts import StopRequest, stop_request
from rhvae_mri.rhvae.checks import check_images
from rhvae_mri.rhvae.model import RHVAE, RHVAEOutput
from rhvae_mri.rhvae.networks import Networks
from rhvae_mri.rhvae.settings import RHVAESettings, TrainingSettings

logger = logging.getLogger(__name__)

#: The loss and its terms, as they appear in the history.
LOSS_TERMS = ("loss", "reconstruction", "prior", "momentum", "posterior")

#: A batch whose loss is this many times the lowest loss of an epoch has left the path.
EXPLOSION = 100.0


@dataclass(frozen=True)
class TrainedRHVAE:
    """A trained model and how it came about.

    Attributes
    ----------
    model : RHVAE
        The model with the weights of the epoch of lowest training loss, and its final metric, in evaluation
        mode.
    history : list of dict
        One row per epoch: epoch (from 1), the training loss and its terms (means over the images),
        learning_rate and leapfrog_step_size.
    best_epoch : int
        The epoch whose weights were kept.
    recoveries : list of dict
        Where training met a number that was not finite: epoch, batch, and the step sizes it went on with.
    """

    model: RHVAE
    history: list[dict[str, float]]
    best_epoch: int
    recoveries: list[dict[str, float]]


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
) -> TrainedRHVAE:
    """Train an RHVAE on a set of images that is held on the device.

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
        CPU, so that they are the same for every device.
    device : torch.device or str
        Where to compute.
    checkpoint : pathlib.Path, optional
        A file that holds the state of an unfinished training. It is read if it is there, written from time
        to time and when a signal asks to stop, and left for the caller to remove. On a CPU a resumed
        training gives the same model, bit for bit, as an uninterrupted one.
    digest : str
        Identifies data, settings and code; a checkpoint of another digest is not used.
    progress : bool
        Whether to draw a progress bar on standard error.
    networks : Networks, optional
        Your own modules instead of the study's networks.

    Returns
    -------
    TrainedRHVAE
        The model and its history.

    Raises
    ------
    StudyError
        If the images are not fit for training, or if the loss is not finite however small the steps.
    TrainingInterrupted
        If a signal asked to stop and the checkpoint is written.
    """
    check_images(images)
    run = _Run(images, settings, training, seed, device, networks)
    if checkpoint is not None and run.restore(checkpoint, digest):
        logger.info("Going on after epoch %d, from %s.", run.epoch, checkpoint)
    saved_at = time.monotonic()
    with (
        stop_request() if checkpoint is not None else contextlib.nullcontext(StopRequest()) as stop,
        tqdm(total=training.max_epochs, initial=run.epoch, disable=not progress, unit="epoch") as bar,
    ):
        while not run.finished():
            if run.train_epoch():
                bar.update()
                bar.set_postfix(loss=f"{run.history[-1]['loss']:.6g}", refresh=False)
            due = time.monotonic() - saved_at > training.checkpoint_seconds
            if checkpoint is not None and (due or stop.name is not None):
                save_checkpoint(checkpoint, run.state, digest)
                saved_at = time.monotonic()
                stop.raise_if_asked(checkpoint)
    return run.result()


class _Run:
    """The state of one training, and its steps."""

    def __init__(
        self,
        images: numpy.ndarray,
        settings: RHVAESettings,
        training: TrainingSettings,
        seed: int,
        device: torch.device | str,
        networks: Networks | None,
    ) -> None:
        self.training = training
        self.images = torch.tensor(images, device=device)
        self.generator = torch.Generator().manual_seed(seed)
        self.model = RHVAE(settings, images.shape[1:], networks, self.generator)
        self.model.to(device=device, dtype=self.images.dtype)
        self.optimizer = self._new_optimizer(training.learning_rate)
        self.state = TrainingState(
            modules={"rhvae": self.model},
            optimizers={"adam": self.optimizer},
            generators={"draws": self.generator},
            # "untouched": no optimizer step was taken since the start, or since training went back
            progress={"history": [], "recoveries": [], "untouched": True},
        )
        for name, value in self._weights().items():
            self.state.tensors[f"best/{name}"] = value.clone()
            self.state.tensors[f"previous/{name}"] = value.clone()

    @property
    def history(self) -> list[dict[str, float]]:
        return self.state.progress["history"]

    @property
    def recoveries(self) -> list[dict[str, float]]:
        return self.state.progress["recoveries"]

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """The first epoch of the lowest loss; 0 before there is one."""
        if not self.history:
            return 0
        losses = [row["loss"] for row in self.history]
        return losses.index(min(losses)) + 1

    def finished(self) -> bool:
        """Whether the last epoch is done or the loss has stopped falling."""
        waited = self.epoch - self.best_epoch
        return self.epoch >= self.training.max_epochs or waited >= self.training.patience

    def restore(self, checkpoint: Path, digest: str) -> bool:
        """Take up a checkpoint, if there is one of this run."""
        if not restore_checkpoint(checkpoint, self.state, digest):
            return False
        for name, value in self.state.tensors.items():
            self.state.tensors[name] = value.to(self.images.device)
        if self.recoveries:
            step_size = self.recoveries[-1]["leapfrog_step_size"]
            self.model.settings = replace(self.model.settings, leapfrog_step_size=step_size)
        return True

    def train_epoch(self) -> bool:
        """Pass once over the training set; False if a number was not finite and training went back."""
        n, d = len(self.images), self.model.settings.latent_dimension
        device = self.images.device
        order = torch.randperm(n, generator=self.generator).to(device)
        noise = torch.randn(2, n, d, generator=self.generator, dtype=self.images.dtype).to(device)
        size = self.training.batch_size
        totals = torch.zeros(len(LOSS_TERMS), dtype=torch.float64)
        self.model.train()
        for batch, (chosen, drawn) in enumerate(
            zip(order.split(size), noise.split(size, dim=1), strict=True)
        ):
            output = self.model(self.images[chosen], *drawn)
            if not self._step(output):
                self._go_back(batch)
                return False
            totals += len(chosen) * _loss_terms(output)
        row = {"epoch": self.epoch + 1, **dict(zip(LOSS_TERMS, (totals / n).tolist(), strict=True))}
        row["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        row["leapfrog_step_size"] = self.model.settings.leapfrog_step_size
        self.history.append(row)
        if self.best_epoch == self.epoch:
            self._keep_weights()
        return True

    def result(self) -> TrainedRHVAE:
        """The best weights, with the final metric; the previous ones if the last step spoiled the best."""
        self.model.eval()
        for kind in ("best", "previous"):
            self._load_weights(kind)
            self.model.fit_metric(self.images)
            if torch.isfinite(self.model.centroids).all() and torch.isfinite(self.model.matrices).all():
                return TrainedRHVAE(self.model, self.history, self.best_epoch, self.recoveries)
        raise StudyError(
            "The metric of the trained RHVAE is not finite.",
            cause="The learning rate is too large for images of this size.",
            remedy="Lower rhvae: learning_rate.",
        )

    def _step(self, output: RHVAEOutput) -> bool:
        """Take an optimizer step, unless loss or gradient are not finite or the loss has exploded."""
        lowest = min((abs(row["loss"]) for row in self.history), default=math.inf)
        self.optimizer.zero_grad()
        output.loss.backward()
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        size = torch.nn.utils.get_total_norm(gradients)
        loss, checked = torch.stack([output.loss.detach(), output.loss.detach() + size]).tolist()
        if not math.isfinite(checked) or loss > EXPLOSION * max(lowest, 1.0):
            return False
        self.optimizer.step()
        self.state.progress["untouched"] = False
        return True

    def _go_back(self, batch: int) -> None:
        """Return to good weights with a smaller step.

        Where no optimizer step was taken from weights that are known to be good, the leapfrog step is to
        blame and is halved; otherwise the learning rate is.
        """
        rate = self.optimizer.param_groups[0]["lr"]
        step_size = self.model.settings.leapfrog_step_size
        where = f"epoch {self.epoch + 1}, batch {batch + 1}"
        if len(self.recoveries) >= self.training.max_recoveries:
            raise StudyError(
                f"The RHVAE's loss is not finite or has exploded, after {len(self.recoveries)} recoveries.",
                where=where,
                cause=f"Learning rate ({rate:.2g}) or leapfrog step ({step_size:.2g}) is still too large.",
                remedy="Lower rhvae: learning_rate or leapfrog_step_size, or raise the batch size.",
            )
        if self.state.progress["untouched"]:
            step_size /= 2
        else:
            rate /= 2
        # The best weights are from the end of an epoch; only a finished epoch after it shows them good.
        if self.epoch == self.best_epoch:
            for name in self._weights():
                self.state.tensors[f"best/{name}"].copy_(self.state.tensors[f"previous/{name}"])
        self._load_weights("best")
        self.model.settings = replace(self.model.settings, leapfrog_step_size=step_size)
        self.optimizer = self._new_optimizer(rate)
        self.state.optimizers = {"adam": self.optimizer}
        self.state.progress["untouched"] = True
        sizes = {"learning_rate": rate, "leapfrog_step_size": step_size}
        self.recoveries.append({"epoch": self.epoch + 1, "batch": batch + 1, **sizes})
        logger.warning(
            f"The loss is not finite or has exploded at {where}: back to the last good weights, "
            f"with learning rate {rate:.3g} and leapfrog step {step_size:.3g}."
        )

    def _new_optimizer(self, rate: float) -> torch.optim.Adam:
        return torch.optim.Adam(self.model.parameters(), lr=rate, fused=True)

    def _weights(self) -> dict[str, torch.Tensor]:
        """What training changes in the model: everything but the final metric."""
        values = self.model.state_dict()
        return {name: value for name, value in values.items() if name not in ("centroids", "matrices")}

    def _keep_weights(self) -> None:
        """Make the best weights so far the previous ones, and the current ones the best."""
        tensors = self.state.tensors
        for name, value in self._weights().items():
            best, previous = f"best/{name}", f"previous/{name}"
            tensors[best], tensors[previous] = tensors[previous], tensors[best]
            tensors[best].copy_(value)

    def _load_weights(self, kind: str) -> None:
        for name, value in self._weights().items():
            value.copy_(self.state.tensors[f"{kind}/{name}"])


def _loss_terms(output: RHVAEOutput) -> torch.Tensor:
    """The loss and the means of its terms, in the order of `LOSS_TERMS`, as float64 on the CPU."""
    terms = torch.stack([getattr(output, name).detach().mean() for name in LOSS_TERMS])
    return terms.to("cpu", torch.float64)
