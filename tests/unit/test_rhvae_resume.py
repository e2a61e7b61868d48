"""Trainings in processes of their own that are killed, and the same trainings uninterrupted."""

import dataclasses
import multiprocessing
import os
import random
import signal
import time

import numpy
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
from rhvae_mri.generators.rhvae.storage import save_model
from rhvae_mri.generators.rhvae.training import train_rhvae
from rhvae_mri.io.errors import StudyError
from rhvae_mri.runtime import checkpoints as checkpoints_module

MLP = RHVAESettings(latent_dimension=2, encoder_layers=(16,), decoder_layers=(16,), metric_layers=(8,))
CONVOLUTIONAL = RHVAESettings(latent_dimension=2, networks="convolutional", channels=(2, 3))
#: The leapfrog step is too long at first, so that there are recoveries to be remembered.
STEEP = dataclasses.replace(MLP, leapfrog_step_size=10.0)
TRAINING = TrainingSettings(
    learning_rate=5e-3, batch_size=3, max_epochs=12, max_recoveries=40, checkpoint_seconds=1e-9
)

#: The random moments differ from session to session; a failure names the delays.
MOMENTS = random.Random()


def images():
    return numpy.random.default_rng(0).random((7, 9, 8, 10), dtype=numpy.float32)


def train_and_save(folder, settings, kill=None):
    """What the process does: train, with a checkpoint after each epoch, and write the model."""
    torch.set_num_threads(1)
    if kill is not None:
        kill()
    trained = train_rhvae(
        images(), settings, TRAINING, seed=4, checkpoint=folder / "checkpoint.safetensors", digest="a"
    )
    save_model(folder / "model.safetensors", trained.model, {"history": str(trained.history)})


def kill_while_the_checkpoint_is_written():
    """Have this process kill itself with half of its third checkpoint on the disk."""
    original, calls = checkpoints_module.save_file, []

    def save_file(tensors, path, metadata):
        calls.append(1)
        original(tensors, path, metadata=metadata)
        if len(calls) == 3:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints_module.save_file = save_file


def kill_before_the_checkpoint_is_moved_into_place():
    """Have this process kill itself with its third checkpoint complete, under its temporary name."""
    original, calls = os.replace, []

    def replace(source, target):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        original(source, target)

    os.replace = replace


@pytest.fixture(scope="module")
def processes():
    """Start processes quickly: they are forked from one that has loaded torch and runs a single thread."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch._dynamo"])  # the optimizers load the second one

    def start(*arguments):
        process = context.Process(target=train_and_save, args=arguments, daemon=True)
        process.start()
        return process

    return start


@pytest.fixture(scope="module")
def uninterrupted(processes, tmp_path_factory):
    """The model files of the uninterrupted trainings, and how long they took."""
    done = {}

    def train(settings):
        if settings not in done:
            folder = tmp_path_factory.mktemp("uninterrupted")
            process = processes(folder, settings)
            wait_for(folder / "checkpoint.safetensors")
            start = time.monotonic()
            process.join(60)
            assert process.exitcode == 0
            done[settings] = folder / "model.safetensors", time.monotonic() - start
        return done[settings]

    return train


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(1e-3)


def finish(processes, folder, settings):
    process = processes(folder, settings)
    process.join(60)
    assert process.exitcode == 0


def header_of(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def assert_same_model(folder, expected):
    model = folder / "model.safetensors"
    tensors, others = load_file(model), load_file(expected)
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[name], others[name]) for name in others)
    assert header_of(model) == header_of(expected)  # settings and history
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.safetensors", "model.safetensors"]


@pytest.mark.parametrize(
    ("settings", "kills"), [(STEEP, 3), (CONVOLUTIONAL, 1)], ids=["recoveries", "convolutional"]
)
def test_a_training_killed_at_random_moments_gives_the_same_model(
    processes, uninterrupted, tmp_path, settings, kills
):
    expected, seconds = uninterrupted(settings)
    delays = []
    for _ in range(kills):
        process = processes(tmp_path, settings)
        wait_for(tmp_path / "checkpoint.safetensors")
        delays.append(MOMENTS.uniform(0, seconds / 2))
        time.sleep(delays[-1])
        process.kill()
        process.join(60)
        if process.exitcode == 0:  # it had already ended
            break
        assert process.exitcode == -signal.SIGKILL
    print(f"killed after {delays} s")
    finish(processes, tmp_path, settings)
    assert_same_model(tmp_path, expected)


@pytest.mark.parametrize(
    "kill", [kill_while_the_checkpoint_is_written, kill_before_the_checkpoint_is_moved_into_place]
)
def test_a_training_killed_within_a_checkpoint_goes_on_from_the_one_before(
    processes, uninterrupted, tmp_path, kill
):
    process = processes(tmp_path, STEEP, kill)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2  # the second checkpoint, and what there is of the third
    assert names[-1] == "checkpoint.safetensors"
    finish(processes, tmp_path, STEEP)
    assert_same_model(tmp_path, uninterrupted(STEEP)[0])


def train_here(path, settings=MLP, stack=None, **changes):
    training = dataclasses.replace(TRAINING, max_epochs=4, **changes)
    return train_rhvae(images() if stack is None else stack, settings, training, seed=4, checkpoint=path)


def test_what_a_killed_process_left_beside_the_checkpoint_is_removed(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    (tmp_path / ".0123abcd.checkpoint.safetensors").write_bytes(b"half")
    (tmp_path / ".0123abcd.other.safetensors").write_bytes(b"half")
    train_here(path)
    names = sorted(item.name for item in tmp_path.iterdir())
    assert names == [".0123abcd.other.safetensors", "checkpoint.safetensors"]


def test_a_damaged_checkpoint_is_a_clear_error(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    train_here(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StudyError, match="checkpoint cannot be read") as raised:
        train_here(path)
    assert raised.value.where == path
    assert "Delete the file" in raised.value.remedy


@pytest.mark.parametrize(
    "changes",
    [{"learning_rate": 1e-4}, {"batch_size": 4}, {"settings": CONVOLUTIONAL}, {"stack": images()[::-1]}],
)
def test_a_checkpoint_of_another_training_is_not_gone_on_from(tmp_path, caplog, changes):
    path = tmp_path / "checkpoint.safetensors"
    train_here(path)
    assert train_here(path, **changes).history[0] == train_here(tmp_path / "new", **changes).history[0]
    assert "starting anew" in caplog.text
