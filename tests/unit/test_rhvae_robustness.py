import dataclasses
import logging
import math

import numpy
import pytest
import torch

from rhvae_mri.generators.rhvae.checks import check_images
from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
from rhvae_mri.generators.rhvae.training import TrainingRun, train_rhvae
from rhvae_mri.io.errors import StudyError

SETTINGS = RHVAESettings(
    latent_dimension=3, leapfrog_steps=2, encoder_layers=(12,), decoder_layers=(12,), metric_layers=(6,)
)
TRAINING = TrainingSettings(learning_rate=2e-3, batch_size=3, max_epochs=5)


def images(n=6, shape=(6, 5, 4), seed=0, dtype=numpy.float32):
    return numpy.random.default_rng(seed).random((n, *shape)).astype(dtype)


def fresh_run(settings=SETTINGS, training=TRAINING):
    return TrainingRun(images(), settings, training, 1, "cpu", None)


def is_finite(model):
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


def far_away(output, factor):
    """The output of a batch whose latent positions are ``factor`` times as far from the origin."""
    end = dataclasses.replace(output.end, position=output.end.position * factor)
    return dataclasses.replace(output, end=end)


def test_a_jump_of_the_latent_norm_sends_training_back(monkeypatch, caplog):
    original, calls = TrainingRun._step, []

    def step(run, output):
        calls.append(1)
        return original(run, far_away(output, 1e3) if len(calls) == 6 else output)

    monkeypatch.setattr(TrainingRun, "_step", step)
    trained = train_rhvae(images(), SETTINGS, TRAINING, seed=1)
    (recovery,) = trained.recoveries
    assert (recovery["epoch"], recovery["batch"]) == (3, 2)
    assert "latent positions has jumped" in recovery["fault"]
    assert recovery["learning_rate"] == TRAINING.learning_rate / 2
    assert "epoch 3, batch 2" in caplog.text
    assert "half the learning rate, 0.001" in caplog.text


def test_the_latent_norm_is_held_against_that_of_recent_epochs():
    run = fresh_run()
    assert run.train_epoch()
    norm = run.history[-1]["latent_norm"]
    assert 0 < norm < 10 * math.sqrt(3)
    assert "jumped" in run._step(far_away(run.model(run.images, *torch.randn(2, 6, 3)), 1e3))
    run.history[0]["latent_norm"] = 1e3 * norm
    assert run._step(far_away(run.model(run.images, *torch.randn(2, 6, 3)), 1e3)) is None


def test_a_loss_that_explodes_within_the_first_epoch_is_not_learned_from():
    run = fresh_run()
    run.model.train()
    output = run.model(run.images, *torch.randn(2, 6, 3))
    assert run._step(output) is None
    output = run.model(run.images, *torch.randn(2, 6, 3))
    weights = [weight.clone() for weight in run.model.parameters()]
    exploded = dataclasses.replace(output, loss=output.loss * 1e3)
    assert "exploded" in run._step(exploded)
    assert all(torch.equal(a, b) for a, b in zip(weights, run.model.parameters(), strict=True))


def test_the_leapfrog_step_is_halved_where_no_optimizer_step_is_to_blame(caplog):
    steep = dataclasses.replace(SETTINGS, leapfrog_step_size=100.0)
    trained = train_rhvae(images(), steep, dataclasses.replace(TRAINING, max_recoveries=30), seed=1)
    first = trained.recoveries[0]
    assert (first["learning_rate"], first["leapfrog_step_size"]) == (TRAINING.learning_rate, 50.0)
    assert "half the leapfrog step, 50" in caplog.text
    assert trained.model.settings.leapfrog_step_size == trained.recoveries[-1]["leapfrog_step_size"] < 50
    assert is_finite(trained.model)


def test_a_flow_that_leaves_the_path_along_the_final_metric_gets_a_smaller_step(monkeypatch, caplog):
    original = TrainingRun._final_loss

    def final_loss(run):
        return original(run) if run.model.settings.leapfrog_step_size < 3e-4 else math.inf

    monkeypatch.setattr(TrainingRun, "_final_loss", final_loss)
    trained = train_rhvae(images(), SETTINGS, TRAINING, seed=1)
    assert trained.model.settings.leapfrog_step_size == 1e-3 / 4
    assert [(recovery["epoch"], recovery["batch"]) for recovery in trained.recoveries] == [(5, 0)] * 2
    assert trained.best_epoch == 5
    assert "epoch 5, the last one the loss of the final model has exploded" in caplog.text


def test_weights_that_were_never_trained_are_no_result():
    run = fresh_run()
    assert run.train_epoch()
    run.model.decoder.logits.bias.data.fill_(math.nan)
    with pytest.raises(StudyError, match="weights or the metric of the trained RHVAE are not finite"):
        run.finish()


@pytest.mark.parametrize("fault", [math.nan, 1e4])
def test_an_epoch_whose_last_step_spoiled_the_weights_is_no_longer_the_best(fault):
    run = fresh_run()
    first = {name: value.clone() for name, value in run.model.state_dict().items()}
    assert run.train_epoch()
    run.history[0]["loss"] = 1e-3  # lower than that of any epoch to come
    for weight in run.model.parameters():
        weight.data.fill_(fault)
    assert not run.train_epoch()
    assert all(torch.equal(value, first[name]) for name, value in run.model.state_dict().items())
    assert run.best.epoch == 0
    assert run.train_epoch()
    assert run.best.epoch == 2
    assert [row["epoch"] for row in run.history] == [1, 2]
    run.finish()
    assert is_finite(run.model)


def test_the_loss_of_the_final_model_is_finite_and_that_of_its_images():
    trained = train_rhvae(images(), SETTINGS, TRAINING, seed=1)
    stacked = torch.from_numpy(images())
    with torch.no_grad():
        losses = [
            trained.model(stacked, *torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(seed))).loss
            for seed in range(40)
        ]
    spread = torch.stack(losses).std()
    assert abs(trained.final_loss - torch.stack(losses).mean()) < 5 * spread


#: Values that the last step may have left; the exponential of the last one overflows.
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("decoder.logits.bias", math.nan),
        ("decoder.logits.bias", 1e6),
        ("metric_network.log_diagonal.bias", 1e3),
    ],
)
@pytest.mark.parametrize("all_are_spoiled", [False, True])
def test_weights_that_the_last_step_has_spoiled_are_not_kept(name, fault, all_are_spoiled):
    run = fresh_run(training=dataclasses.replace(TRAINING, max_recoveries=0))
    assert run.train_epoch()
    assert run.train_epoch()
    assert run.best.epoch == 2
    kept = run.state.tensors[f"best/{name}"]
    good = kept.clone()
    run.model.get_parameter(name).data.fill_(fault)
    if all_are_spoiled:
        kept.fill_(fault)
        with pytest.raises(StudyError, match=r"trained RHVAE are not finite|final model has exploded"):
            run.finish()
        return
    epoch, final_loss = run.finish()
    assert torch.equal(run.model.get_parameter(name), good)
    assert math.isfinite(final_loss)
    assert epoch == 1


def test_the_best_weights_are_copied_when_a_batch_has_shown_them_good():
    run = fresh_run()
    name = "decoder.logits.bias"
    assert run.train_epoch()
    first = run.model.state_dict()[name].clone()
    assert not torch.equal(run.state.tensors[f"best/{name}"], first)  # only a candidate yet
    assert run.train_epoch()
    assert torch.equal(run.state.tensors[f"best/{name}"], first)
    assert run.best.epoch == 2


@pytest.mark.parametrize("leapfrog_step_size", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("learning_rate", [1e-3, 0.3, 30.0])
def test_whatever_the_steps_training_ends_in_a_finite_model_or_a_clear_error(
    learning_rate, leapfrog_step_size, caplog
):
    caplog.set_level(logging.ERROR)
    settings = dataclasses.replace(SETTINGS, leapfrog_step_size=leapfrog_step_size)
    training = dataclasses.replace(TRAINING, learning_rate=learning_rate)
    try:
        trained = train_rhvae(images(), settings, training, seed=2)
    except StudyError as error:
        assert "after 10 recoveries" in str(error)
        assert error.where.startswith("epoch ")
        assert "learning_rate" in error.remedy
    else:
        assert is_finite(trained.model)
        assert math.isfinite(trained.final_loss)
        assert len(trained.recoveries) <= 10


@pytest.mark.parametrize("dtype", [numpy.float32, numpy.float64])
def test_images_that_are_fit_for_training_are_accepted(dtype):
    check_images(images(n=2, dtype=dtype))


@pytest.mark.parametrize("collect", [list, lambda items: numpy.array([*items, None], dtype=object)[:-1]])
def test_images_of_different_shapes_are_named(collect):
    different = [*images(n=2), images(n=1, shape=(6, 5, 3))[0]]
    with pytest.raises(StudyError, match=r"number 2 has \(6, 5, 3\), number 0 \(6, 5, 4\)") as raised:
        check_images(collect(different))
    assert "one template" in raised.value.remedy
