import dataclasses
import os
import signal
from functools import partial

import numpy
import pytest
import torch
from torch import nn

from rhvae_mri.generators.rhvae.networks import Networks, build_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings, split_settings
from rhvae_mri.generators.rhvae.training import TrainingRun, train_rhvae
from rhvae_mri.io.errors import StudyError
from rhvae_mri.runtime.interrupts import TrainingInterrupted

SETTINGS = RHVAESettings(
    latent_dimension=2, leapfrog_steps=1, encoder_layers=(16,), decoder_layers=(16,), metric_layers=(8,)
)
TRAINING = TrainingSettings(learning_rate=5e-3, batch_size=5, max_epochs=9)


def discs(n=8, dtype=numpy.float32):
    """Images of discs whose size grows from the first to the last."""
    axis = numpy.linspace(-1, 1, 9)
    radius = numpy.hypot(*numpy.meshgrid(axis, axis))
    return numpy.stack([radius < r for r in numpy.linspace(0.3, 0.9, n)]).astype(dtype)


def train(training=TRAINING, settings=SETTINGS, images=None, seed=1, **options):
    return train_rhvae(discs() if images is None else images, settings, training, seed=seed, **options)


def same_weights(a, b):
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_training_learns_the_images():
    training = dataclasses.replace(TRAINING, max_epochs=100, batch_size=4, learning_rate=1e-2)
    trained = train(training)
    images = torch.from_numpy(discs())
    with torch.no_grad():
        error = (trained.model.decode(trained.model.centroids) - images).square().sum()
    spread = (images - images.mean(0)).square().sum()
    assert error < 0.2 * spread
    assert trained.history[-1]["loss"] < 0.5 * trained.history[0]["loss"]
    assert trained.model.centroids.shape == (8, 2)
    assert not trained.model.training


def test_training_follows_from_the_seed_alone():
    torch.manual_seed(1)
    first = train()
    torch.manual_seed(2)
    second = train()
    assert first.history == second.history
    assert same_weights(first.model, second.model)
    assert train(seed=2).history != first.history


def test_the_history_names_the_terms_of_the_loss():
    history = train().history
    assert [row["epoch"] for row in history] == list(range(1, 10))
    for row in history:
        total = row["reconstruction"] + row["prior"] + row["momentum"] + row["posterior"]
        assert row["loss"] == pytest.approx(total, rel=1e-5)
        assert (row["learning_rate"], row["leapfrog_step_size"]) == (5e-3, 1e-3)


#: Settings of each option, and of none.
OPTIONS = {
    "none": {},
    "activation": {"encoder_last_activation": "relu"},
    "mean image": {"start_at_mean_image": True},
    "hold-out": {"hold_out_fraction": 0.25},
    "tolerance": {"integrator": "generalized", "fixed_point_tolerance": 1e-6, "leapfrog_step_size": 0.05},
}


@pytest.mark.parametrize(
    ("number", "option"), [(signal.SIGTERM, name) for name in OPTIONS] + [(signal.SIGUSR1, "none")]
)
def test_an_interrupted_and_resumed_training_equals_an_uninterrupted_one(
    tmp_path, monkeypatch, number, option
):
    given = dataclasses.asdict(SETTINGS) | dataclasses.asdict(TRAINING) | OPTIONS[option]
    train = partial(train_rhvae, discs(), *split_settings(given), seed=1)
    whole = train()
    checkpoint = tmp_path / "checkpoint.safetensors"
    one_epoch = TrainingRun.train_epoch

    def train_epoch(run):
        result = one_epoch(run)
        if run.epoch == 5:
            os.kill(os.getpid(), number)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "train_epoch", train_epoch)
        with pytest.raises(TrainingInterrupted):
            train(checkpoint=checkpoint, digest="a")
    assert checkpoint.is_file()
    resumed = train(checkpoint=checkpoint, digest="a")
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    assert same_weights(resumed.model, whole.model)


def test_checkpoints_come_with_time_and_those_of_another_run_are_not_used(tmp_path, caplog):
    checkpoint = tmp_path / "checkpoint.safetensors"
    often = dataclasses.replace(TRAINING, checkpoint_seconds=1e-9)
    whole = train(often, checkpoint=checkpoint, digest="a")
    assert checkpoint.is_file()
    longer = dataclasses.replace(TRAINING, max_epochs=11)
    train(longer, checkpoint=checkpoint, digest="b")
    assert "starting anew" in caplog.text
    assert train(longer, checkpoint=checkpoint, digest="a", seed=3).history[0] != whole.history[0]
    continued = train(longer, checkpoint=checkpoint, digest="a")
    assert continued.history[:9] == whole.history
    assert len(continued.history) == 11


def test_flipped_images_are_images_like_others():
    flipped = discs()[:, ::-1]
    assert train(images=flipped).history == train(images=flipped.copy()).history


def test_training_stops_when_the_loss_no_longer_falls_and_keeps_the_best_weights(monkeypatch):
    # From the fourth epoch on the learning rate makes the loss rise.
    original = TrainingRun.train_epoch

    def train_epoch(run):
        if run.epoch == 3:
            run.optimizer.param_groups[0]["lr"] = 0.3
        return original(run)

    monkeypatch.setattr(TrainingRun, "train_epoch", train_epoch)
    stopped = train(dataclasses.replace(TRAINING, max_epochs=40, patience=3))
    assert len(stopped.history) == stopped.best_epoch + 3
    losses = [row["loss"] for row in stopped.history]
    assert losses[stopped.best_epoch - 1] == min(losses)
    exact = train(dataclasses.replace(TRAINING, max_epochs=stopped.best_epoch))
    assert same_weights(stopped.model, exact.model)


HELD_OUT = dataclasses.replace(TRAINING, hold_out_fraction=0.25, max_epochs=60)


def test_images_that_are_held_out_are_not_trained_on_and_decide_when_it_stops():
    images = discs() * numpy.linspace(0.5, 1, 8, dtype=numpy.float32)[:, None, None]  # all different
    run = TrainingRun(images, SETTINGS, HELD_OUT, 1, "cpu", None)
    held = [
        number for number, image in enumerate(images) if (run.held_out.numpy() == image).all((1, 2)).any()
    ]
    assert (len(held), len(run.images)) == (2, 6)
    trained = train(HELD_OUT, images=images)
    assert trained.model.centroids.shape == (6, 2)
    losses = [row["hold_out_loss"] for row in trained.history]
    assert losses[trained.best_epoch - 1] == min(losses)
    # other images in their place alter nothing but their own loss
    images[held] = 1 - images[held]
    other = train(dataclasses.replace(HELD_OUT, patience=60), images=images)
    rows = zip(trained.history, other.history, strict=False)
    assert all({**row, "hold_out_loss": 0} == {**same, "hold_out_loss": 0} for row, same in rows)
    assert losses[0] != other.history[0]["hold_out_loss"]
    assert train(HELD_OUT, images=images, seed=2).history[0] != other.history[0]


def test_the_held_out_loss_stops_training_and_one_that_is_not_finite_is_never_the_best(monkeypatch):
    losses = iter([float("nan"), 5.0, 4.0, float("nan"), 6.0, 7.0])
    mean_loss = TrainingRun._mean_loss

    def scripted(run, stack, name):
        return next(losses) if name == "hold_out_loss" else mean_loss(run, stack, name)

    monkeypatch.setattr(TrainingRun, "_mean_loss", scripted)
    stopped = train(dataclasses.replace(HELD_OUT, patience=3))
    assert stopped.best_epoch == 3
    assert [row["hold_out_loss"] for row in stopped.history] == [float("inf"), 5, 4, float("inf"), 6, 7]


def test_a_hold_out_that_leaves_too_few_images_is_refused():
    with pytest.raises(StudyError, match="Of 8 images 7 would be held out, which leaves 1") as raised:
        train(dataclasses.replace(HELD_OUT, hold_out_fraction=0.9))
    assert raised.value.where == "hold_out_fraction"


def test_a_decoder_may_begin_at_the_mean_image_of_what_is_trained_on():
    mean_start = dataclasses.replace(HELD_OUT, start_at_mean_image=True)
    run = TrainingRun(discs(), SETTINGS, mean_start, 1, "cpu", None)
    usual = TrainingRun(discs(), SETTINGS, HELD_OUT, 1, "cpu", None)
    bias, mean = run.model.decoder.logits.bias, run.images.mean(0).flatten()
    assert {0, 1} < set(mean.tolist())  # whose logits are not finite
    torch.testing.assert_close(bias.sigmoid(), mean.clamp(1e-3, 1 - 1e-3))
    weights, others = run.model.state_dict(), usual.model.state_dict()
    assert {name for name in weights if not torch.equal(weights[name], others[name])} == {
        "decoder.logits.bias"
    }
    assert run.train_epoch() and usual.train_epoch()
    assert run.history[0]["loss"] < 0.8 * usual.history[0]["loss"]


def test_a_decoder_without_a_bias_for_each_voxel_cannot_begin_at_the_mean_image():
    convolutional = dataclasses.replace(SETTINGS, networks="convolutional", channels=(2,))
    images = numpy.stack([discs()] * 9, axis=3)
    with pytest.raises(StudyError, match="ConvolutionalDecoder has no bias for each voxel") as raised:
        train(dataclasses.replace(TRAINING, start_at_mean_image=True), convolutional, images)
    assert raised.value.where == "start_at_mean_image"


def test_a_number_that_is_not_finite_sends_training_back_with_smaller_steps(monkeypatch, caplog):
    original = TrainingRun._step
    calls = []

    def step(run, output):
        calls.append(1)
        if len(calls) in (6, 7):
            output = dataclasses.replace(output, loss=output.loss * float("nan"))
        return original(run, output)

    monkeypatch.setattr(TrainingRun, "_step", step)
    trained = train()
    assert [(r["epoch"], r["batch"]) for r in trained.recoveries] == [(3, 2), (3, 1)]
    # First an optimizer step was to blame, then, from good weights and without one, the leapfrog step.
    assert [r["learning_rate"] for r in trained.recoveries] == [5e-3 / 2, 5e-3 / 2]
    assert [r["leapfrog_step_size"] for r in trained.recoveries] == [1e-3, 1e-3 / 2]
    assert trained.history[2]["learning_rate"] == 5e-3 / 2
    assert trained.history[2]["leapfrog_step_size"] == 1e-3 / 2
    assert trained.model.settings.leapfrog_step_size == 1e-3 / 2
    assert len(trained.history) == 9
    assert "epoch 3, batch 2" in caplog.text
    assert all(torch.isfinite(weight).all() for weight in trained.model.parameters())


def test_training_gives_up_with_a_clear_error():
    steep = dataclasses.replace(SETTINGS, leapfrog_step_size=1e30)
    with pytest.raises(StudyError, match="is not finite, after 10 recoveries") as raised:
        train(settings=steep)
    assert raised.value.where == "epoch 1, batch 1"
    assert "leapfrog_step_size" in raised.value.remedy


def test_own_modules_and_float64_are_trained():
    class Doubled(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner
            self.norm = nn.LayerNorm(81)

        def forward(self, positions):
            return self.norm(self.inner(positions))

    networks = build_networks(SETTINGS, (81,), torch.Generator().manual_seed(0))
    networks = Networks(networks.encoder, Doubled(networks.decoder), networks.metric)
    trained = train(images=discs(dtype=numpy.float64), networks=networks, progress=True)
    assert trained.model.decoder.inner is networks.decoder.inner
    assert trained.model.centroids.dtype == torch.float64
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]


def spoil(index, value):
    images = discs()
    images[index] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (discs()[:0], r"shape \(0, 9, 9\)"),
        (discs()[:1], r"shape \(1, 9, 9\).*at least two images"),
        (discs().astype(numpy.uint8), "type uint8"),
        (list(discs()), "type list"),
        (spoil((2, 0, 0), numpy.nan), "1 of 8 training images have voxels that are NaN.*number 2"),
        (spoil((3, 0, 0), numpy.inf), "NaN or infinite.*number 3"),
        (spoil((slice(4, 6), 0, 0), 1.01), "2 of 8 training images have values outside.*number 4"),
        (spoil((0, 0, 0), -0.01), "outside"),
        (spoil(6, 0.0), "one value in all voxels.*number 6"),
        (spoil(7, 1.0), "one value in all voxels.*number 7"),
    ],
)
def test_images_that_are_not_fit_for_training_are_refused(images, message):
    with pytest.raises(StudyError, match=f"(?s){message}"):
        train(images=images)
