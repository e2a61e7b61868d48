"""The choice of the device; the GPUs are made up here."""

import logging
from types import SimpleNamespace

import pytest
import torch

from rhvae_mri.runtime import locks
from rhvae_mri.runtime.devices import choose_device, visible_gpus


@pytest.fixture(autouse=True)
def runtime_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(locks, "_held", {})
    yield tmp_path
    for lock in locks._held.values():
        lock.release()


#: What decides how a GPU rounds, and whether the same work gives the same numbers.
_ROUNDING = [
    (torch.backends.cuda.matmul, "allow_tf32", False),
    (torch.backends.cudnn, "allow_tf32", False),
    (torch.backends.cudnn, "deterministic", True),
]


@pytest.fixture
def two_gpus(monkeypatch):
    """Make torch believe in two GPUs; give the list of those that were set."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda place: SimpleNamespace(uuid=f"0000-{place}")
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "made up")
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    before = [getattr(backend, name) for backend, name, _ in _ROUNDING]
    # as on machines that switch on TF32 for everything
    for backend, name, value in _ROUNDING:
        setattr(backend, name, not value)
    yield chosen
    for (backend, name, _), value in zip(_ROUNDING, before, strict=True):
        setattr(backend, name, value)


def test_a_job_computes_on_the_gpu_that_is_free(two_gpus, caplog):
    assert visible_gpus() == ["gpu-0000-0", "gpu-0000-1"]
    other_job = locks.only_process(locks.lock_folder() / "gpu-0000-0.lock", lambda: None)
    with other_job, caplog.at_level(logging.INFO):
        device = choose_device("auto")
    assert device == torch.device("cuda", 1)
    assert two_gpus == [device]
    assert [getattr(backend, name) for backend, name, _ in _ROUNDING] == [value for *_, value in _ROUNDING]
    assert "Computing on GPU 1 of 2 (made up, gpu-0000-1)." in caplog.text


def test_a_job_on_the_cpu_takes_no_gpu(two_gpus, runtime_folder):
    assert choose_device("cpu") == torch.device("cpu")
    assert not (runtime_folder / "rhvae-mri").exists()


def test_without_a_gpu_the_log_says_that_the_cpu_computes(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.INFO):
        assert choose_device("auto", threads=1) == torch.device("cpu")
    assert "Computing on the CPU with 1 thread(s): torch sees no GPU here." in caplog.text
