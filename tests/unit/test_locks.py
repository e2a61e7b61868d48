"""Locks of runs, jobs and GPUs between processes; the GPUs are made up here."""

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.runtime import locks
from rhvae_mri.runtime.locks import acquire_device, claim, lock_folder, only_process
from rhvae_mri.runtime.logs import log_job

#: What another process does before it says so and waits until it is told to go.
START = "import logging, os, sys\nfrom rhvae_mri.runtime import locks\nlocks._PAUSE = 0.02\n"
CLAIM = START + "locks.claim(sys.argv[1])\nprint('claimed', flush=True)\nsys.stdin.readline()\n"
JOB = (
    "import sys\nfrom pathlib import Path\nfrom rhvae_mri.runtime.logs import log_job\n"
    "with log_job(sys.argv[1]):\n    Path(sys.argv[2]).write_text('runs')\n    sys.stdin.readline()\n"
)
DEVICE = START + (
    "logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')\n"
    "names = sys.argv[1:]\n"
    "print('holds', names[locks.acquire_device(names)], flush=True)\n"
    "sys.stdin.readline()\n"
)
#: Takes a device and starts a child that outlives it, as a data loader's can; says the child's number.
FORK = START + (
    "import time\nlocks.acquire_device(sys.argv[1:])\nchild = os.fork()\n"
    "print(child, flush=True) if child else None\ntime.sleep(60)\n"
)


@pytest.fixture(autouse=True)
def runtime_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(locks, "_held", {})
    monkeypatch.setattr(locks, "_PAUSE", 0.02)
    yield tmp_path
    for lock in locks._held.values():
        lock.release()


@pytest.fixture
def start(root):
    """Start another process, which sees the same locks."""
    processes = []

    def run(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(root / "workflow")},
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def line(process):
    return process.stdout.readline().strip()


def kill(process):
    process.kill()
    process.wait()


def let_go(process):
    process.communicate("\n")


@pytest.fixture
def job(start, tmp_path):
    """The same job in another process, and its log."""
    log, pipe = tmp_path / "logs" / "job.log", tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start(JOB, log, pipe)
    assert pipe.read_text() == "runs"
    return process, log


@pytest.mark.parametrize("end", [let_go, kill])
def test_the_same_job_of_an_earlier_run_is_waited_for_however_it_ends(job, end):
    process, log = job
    waited = []
    with only_process(log.with_name(".job.log.lock"), lambda: waited.append(end(process))):
        assert process.poll() is not None
        assert len(waited) == 1
    assert [path.name for path in log.parent.iterdir()] == ["job.log"]


def test_a_killed_job_leaves_no_lock(job):
    process, log = job
    kill(process)
    assert log.with_name(".job.log.lock").exists()
    with only_process(log.with_name(".job.log.lock"), lambda: pytest.fail("it waits for nobody")):
        pass
    assert not log.with_name(".job.log.lock").exists()


def test_a_lock_on_a_file_that_was_removed_meanwhile_does_not_count(tmp_path, monkeypatch):
    """Between the opening of the file and its locking, its former holder removes it."""
    path, lock, removed = tmp_path / ".job.lock", fcntl.flock, []

    def remove_and_lock(file, flags):
        if not removed:
            path.unlink()
            removed.append(path)
        lock(file, flags)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    with only_process(path, lambda: None):
        assert removed == [path]
        assert path.exists()


@pytest.mark.parametrize("code", [38, 95])
def test_without_locks_of_the_file_system_the_job_runs(tmp_path, monkeypatch, code):
    def refuse(file, flags):
        raise OSError(code, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with only_process(tmp_path / ".job.lock", lambda: pytest.fail("it waits for nobody")):
        pass
    claim(tmp_path / ".run.lock")


def test_the_error_of_a_job_is_said_although_the_log_cannot_be_written(tmp_path, capfd):
    (tmp_path / "job.log").symlink_to("/dev/full")
    with pytest.raises(SystemExit), log_job(tmp_path / "job.log"):
        raise OSError(28, "No space left on device")
    assert "No space left on device" in capfd.readouterr().err


def test_a_second_run_is_told_which_process_works_on_the_results_until_that_is_killed(start, tmp_path):
    lock = tmp_path / "results" / "logs" / ".run.lock"
    process = start(CLAIM, lock)
    assert line(process) == "claimed"
    for _ in range(2):  # the one that is refused must not spoil what the file says
        with pytest.raises(StudyError, match="Another run of the study") as error:
            claim(lock)
        assert f"process {process.pid} on " in error.value.cause
    assert process.poll() is None
    kill(process)
    claim(lock)
    assert lock.read_text().startswith(f"process {os.getpid()} on ")


def test_results_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(StudyError, match="cannot be written") as error:
        claim(tmp_path / "results" / "logs" / ".run.lock")
    assert "pathvars" in error.value.remedy


def test_each_job_gets_a_device_of_its_own_and_the_next_one_waits(start):
    first, second = start(DEVICE, "a", "b"), start(DEVICE, "a", "b")
    held = {line(first), line(second)}
    assert held == {"holds a", "holds b"}
    third = start(DEVICE, "a", "b")
    assert line(third).startswith("All 2 GPU(s) are taken by other jobs")
    let_go(second)
    assert line(third) in held


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_device_is_free_when_its_process_ends_however_it_ends(start, end):
    first = start(DEVICE, "a")
    assert line(first) == "holds a"
    second = start(DEVICE, "a")
    assert line(second).startswith("All 1 GPU(s) are taken")
    os.kill(first.pid, end)
    assert line(second) == "holds a"


def test_children_of_a_killed_job_keep_no_lock(start):
    parent = start(FORK, "a")
    child = int(line(parent))
    try:
        waiting = start(DEVICE, "a")
        assert line(waiting).startswith("All 1 GPU(s) are taken")
        os.kill(parent.pid, signal.SIGKILL)
        assert line(waiting) == "holds a"
        os.kill(child, 0)  # it is alive
    finally:
        os.kill(child, signal.SIGKILL)


def test_children_that_end_take_no_lock_of_their_parent_along(tmp_path):
    with only_process(tmp_path / ".job.lock", lambda: None):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        assert locks._try_lock(tmp_path / ".job.lock") is None


def test_a_process_keeps_the_device_that_it_has():
    assert acquire_device(["a", "b"]) == 0
    assert acquire_device(["a", "b"]) == 0
    assert acquire_device(["x", "b", "a"]) == 2


def test_a_device_that_a_job_does_not_see_is_not_given_to_it(start):
    # CUDA_VISIBLE_DEVICES leaves out a; the lock goes by what names the device, not by its place
    other, own = start(DEVICE, "a"), start(DEVICE, "b")
    assert [line(other), line(own)] == ["holds a", "holds b"]
    waiting = start(DEVICE, "b")
    assert line(waiting).startswith("All 1 GPU(s) are taken")
    let_go(other)
    let_go(own)
    assert line(waiting) == "holds b"


def test_the_folder_of_the_devices_is_this_users_alone_and_their_names_lead_to_no_other(runtime_folder):
    assert acquire_device(["../../x/y"]) == 0
    assert lock_folder() == runtime_folder / "rhvae-mri"
    assert lock_folder().stat().st_mode & 0o077 == 0
    assert [path.name for path in lock_folder().iterdir()] == ["______x_y.lock"]


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
