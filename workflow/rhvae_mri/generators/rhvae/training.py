"""Training of an RHVAE: deterministic from a seed, resumable, and stopped early on the training loss."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy
import torch
from tqdm import tqdm

from rhvae_mri.generators.rhvae.checks import check_images
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.networks import Networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
from rhvae_mri.generators.rhvae.training_run import TrainingRun
from rhvae_mri.learning.checkpoints import run_digest
from rhvae_mri.learning.randomness import own_random_state
from rhvae_mri.learning.regular_checkpoints import RegularCheckpoints
from rhvae_mri.seeds import derive_seed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRHVAE:
    """A trained model and how it came about.

    Attributes
    ----------
    model : RHVAE
        The model with the weights of the epoch of lowest training loss, and its final metric, in evaluation
        mode.
    history : list of dict
        One row per epoch: epoch (from 1), the training loss and its terms (means over the images), the
        largest latent_norm of z_K, learning_rate and leapfrog_step_size.
    best_epoch : int
        The epoch whose weights were kept.
    recoveries : list of dict
        Where training went back to its last good weights: epoch, batch (0: when the model was finished),
        fault, and the learning_rate and leapfrog_step_size that it went on with.
    final_loss : float
        Mean loss of the training images under ``model``, with its final metric.
    """

    model: RHVAE
    history: list[dict[str, float]]
    best_epoch: int
    recoveries: list[dict[str, float | str]]
    final_loss: float


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

    Returns
    -------
    TrainedRHVAE
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
    identity = {
        "state": 2,  # number of the layout of the state
        "images_and_code": digest,
        "settings": asdict(settings),
        "optimizer": [training.learning_rate, training.batch_size],
        "seed": seed,
        "images": [
            str(images.dtype),
            *images.shape,
            hashlib.sha256(numpy.ascontiguousarray(images).data).hexdigest(),
        ],
        "networks": None if networks is None else _describe_networks(networks),
    }
    with (
        own_random_state(derive_seed(seed, "modules"), torch.device(device)),
        RegularCheckpoints(checkpoint, run_digest(identity), training.checkpoint_seconds) as checkpoints,
    ):
        run = TrainingRun(images, settings, training, seed, device, networks)
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
        return TrainedRHVAE(run.model, run.history, epoch, run.recoveries, final_loss)


def _describe_networks(networks: Networks) -> list[str]:
    """The user's own modules by their structure, and their weights by name and shape."""
    described = []
    for module in networks:
        weights = [f"{name} {tuple(value.shape)}" for name, value in module.state_dict().items()]
        described.append(f"{module} {' '.join(weights)}")
    return described
