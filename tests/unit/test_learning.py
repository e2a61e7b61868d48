import os
import signal

import pytest
import torch

from rhvae_mri.io.errors import StudyError
from rhvae_mri.runtime.checkpoints import TrainingState, restore_checkpoint, run_digest, save_checkpoint
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.interrupts import TrainingInterrupted, stop_request


def fresh_state(seed=0):
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    return TrainingState(
        modules={"network": network},
        optimizers={"adam": torch.optim.Adam(network.parameters(), lr=0.05)},
        generators={"shuffle": torch.Generator().manual_seed(seed)},
        progress={"epoch": 0, "history": []},
    )


def train(state, epochs):
    network, optimizer = state.modules["network"], state.optimizers["adam"]
    data = torch.linspace(-1, 1, 50).reshape(10, 5)
    for _ in range(epochs):
        order = torch.randperm(10, generator=state.generators["shuffle"])
        loss = (network(data[order]) - data[order].sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state.progress["epoch"] += 1
        state.progress["history"].append(loss.item())
    return state


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    whole = train(fresh_state(), 8)
    part = train(fresh_state(), 3)
    part.tensors["best"] = torch.arange(3.0)
    save_checkpoint(tmp_path / "checkpoint.safetensors", part, "digest")
    resumed = fresh_state(seed=99)
    assert restore_checkpoint(tmp_path / "checkpoint.safetensors", resumed, "digest")
    assert resumed.tensors["best"].tolist() == [0.0, 1.0, 2.0]
    train(resumed, 5)
    assert resumed.progress == whole.progress
    for a, b in zip(
        resumed.modules["network"].parameters(), whole.modules["network"].parameters(), strict=True
    ):
        assert torch.equal(a, b)


def test_a_checkpoint_of_other_settings_is_left_aside(tmp_path):
    state = train(fresh_state(), 2)
    save_checkpoint(tmp_path / "c.safetensors", state, "old")
    other = fresh_state()
    assert not restore_checkpoint(tmp_path / "c.safetensors", other, "new")
    assert other.progress["epoch"] == 0
    assert not restore_checkpoint(tmp_path / "missing.safetensors", other, "new")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_is_remembered_and_the_handler_put_back(number):
    before = signal.getsignal(number)
    with stop_request() as request:
        request.raise_if_asked("checkpoint")
        os.kill(os.getpid(), number)
        with pytest.raises(TrainingInterrupted, match=signal.Signals(number).name):
            request.raise_if_asked("checkpoint")
    assert signal.getsignal(number) is before


def test_a_gpu_that_is_not_there_is_a_clear_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(StudyError, match="torch sees none"):
        choose_device("cuda")


def test_the_digest_of_a_run_changes_with_its_settings_and_its_files(tmp_path):
    file = tmp_path / "images.safetensors"
    file.write_bytes(b"one")
    first = run_digest({"epochs": 3, "layers": [5, 4]}, file)
    assert run_digest({"layers": [5, 4], "epochs": 3}, file) == first
    assert run_digest({"epochs": 4, "layers": [5, 4]}, file) != first
    file.write_bytes(b"three")
    assert run_digest({"epochs": 3, "layers": [5, 4]}, file) != first
