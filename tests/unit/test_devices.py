"""Several jobs on one machine share its GPUs, whose list is made up here: no GPU is needed."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rhvae_mri import locks
from rhvae_mri.errors import StudyError
from rhvae_mri.learning.devices import choose_device, visible_gpus
from rhvae_mri.locks import acquire_device, lock_folder

#: Takes one of the devices that it is given, says which, and keeps it until it is ended or told to go.
HOLDER = (
    "import logging, sys\n"
    "from rhvae_mri import locks\n"
    "locks._PAUSE = 0.02\n"
    "logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')\n"
    "names = sys.argv[1:]\n"
    "print('holds', names[locks.acquire_device(names)], flush=True)\n"
    "sys.stdin.readline()\n"
)

#: Takes a device and starts a child that outlives it, as a data loader's can; says the child's number.
FORKING = (
    "import os, sys, time\n"
    "from rhvae_mri.locks import acquire_device\n"
    "acquire_device(sys.argv[1:])\n"
    "child = os.fork()\n"
    "print(child, flush=True) if child else None\n"
    "time.sleep(60)\n"
)


def job_environment(runtime_folder):
    library = str(Path(locks.__file__).parents[1])
    return os.environ | {"XDG_RUNTIME_DIR": str(runtime_folder), "PYTHONPATH": library}


@pytest.fixture(autouse=True)
def runtime_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(locks, "_held", {})
    yield tmp_path
    for lock in locks._held.values():
        lock.release()


@pytest.fixture
def start_job(runtime_folder):
    """Start a job that wants one of some devices."""
    jobs = []

    def start(*names):
        job = subprocess.Popen(
            [sys.executable, "-c", HOLDER, *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=job_environment(runtime_folder),
        )
        jobs.append(job)
        return job

    yield start
    for job in jobs:
        job.kill()
        job.wait()
        job.stdout.close()
        job.stdin.close()


def line(job):
    return job.stdout.readline().strip()


def test_each_job_gets_a_device_of_its_own_and_the_next_one_waits(start_job):
    first, second = start_job("a", "b"), start_job("a", "b")
    held = {line(first), line(second)}
    assert held == {"holds a", "holds b"}
    third = start_job("a", "b")
    assert line(third).startswith("All 2 GPU(s) are taken by other jobs")
    second.stdin.close()
    second.wait()
    assert line(third) in held


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_ends_with_the_process_however_it_ends(start_job, end):
    first = start_job("a")
    assert line(first) == "holds a"
    second = start_job("a")
    assert line(second).startswith("All 1 GPU(s) are taken")
    os.kill(first.pid, end)
    assert line(second) == "holds a"


def test_children_of_a_killed_job_keep_no_lock(start_job, runtime_folder):
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKING, "a"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=job_environment(runtime_folder),
    )
    child = int(line(parent))
    try:
        waiting = start_job("a")
        assert line(waiting).startswith("All 1 GPU(s) are taken")
        os.kill(parent.pid, signal.SIGKILL)
        assert line(waiting) == "holds a"
        os.kill(child, 0)  # it is alive
    finally:
        os.kill(child, signal.SIGKILL)
        parent.wait()


def test_a_process_keeps_the_device_that_it_has():
    assert acquire_device(["a", "b"]) == 0
    assert acquire_device(["a", "b"]) == 0
    assert acquire_device(["x", "b", "a"]) == 2


def test_a_device_that_a_job_does_not_see_is_not_given_to_it(start_job):
    # CUDA_VISIBLE_DEVICES leaves out a; the lock goes by what names the device, not by its place
    other, own = start_job("a"), start_job("b")
    assert line(other) == "holds a"
    assert line(own) == "holds b"
    waiting = start_job("b")
    assert line(waiting).startswith("All 1 GPU(s) are taken")
    other.stdin.close()
    other.wait()
    own.stdin.close()
    assert line(waiting) == "holds b"


def test_names_lead_to_no_other_folder(runtime_folder):
    assert acquire_device(["../../x/y"]) == 0
    assert [path.name for path in (runtime_folder / "rhvae-mri").iterdir()] == ["______x_y.lock"]


def test_the_folder_is_this_users_alone(runtime_folder):
    folder = lock_folder()
    assert folder == runtime_folder / "rhvae-mri"
    assert folder.stat().st_mode & 0o077 == 0


def test_a_link_in_place_of_the_folder_is_refused(runtime_folder):
    (runtime_folder / "elsewhere").mkdir()
    (runtime_folder / "rhvae-mri").symlink_to(runtime_folder / "elsewhere")
    with pytest.raises(StudyError, match="not this user's"):
        acquire_device(["a"])
    assert not list((runtime_folder / "elsewhere").iterdir())


def test_without_a_runtime_folder_the_locks_are_in_the_temporary_one(monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", "/nowhere")
    assert lock_folder().name == f"rhvae-mri-{os.getuid()}"


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


def test_a_job_computes_on_the_gpu_that_is_free(two_gpus, start_job, caplog):
    assert visible_gpus() == ["gpu-0000-0", "gpu-0000-1"]
    assert line(start_job("gpu-0000-0")) == "holds gpu-0000-0"
    with caplog.at_level(logging.INFO):
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
