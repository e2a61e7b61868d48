import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from rhvae_mri.errors import StudyError
from rhvae_mri.locks import claim, only_process
from rhvae_mri.logs import log_job

#: Takes the lock of a job, says so, and ends when it is told to.
HOLDER = "import sys; from rhvae_mri.logs import log_job\nwith log_job(sys.argv[1]): sys.__stdin__.readline()"


@pytest.fixture
def holder(tmp_path, root):
    """The same job in another process; it has the lock when the log is there."""
    log = tmp_path / "logs" / "job.log"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(log)],
        stdin=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root / "workflow")},
    )
    while not log.exists():
        assert process.poll() is None
        time.sleep(0.02)
    yield process, log
    process.kill()
    process.communicate()


def wait_in_log(log, holder, end):
    """Enter the job while another process holds it; end that when this one has begun to wait."""
    steps = []

    def on_wait():
        steps.append("waits")
        end(holder)

    with only_process(log.with_name(".job.log.lock"), on_wait):
        steps.append("runs")
        assert holder.wait(timeout=20) is not None
    return steps


def test_the_same_job_of_an_earlier_run_is_waited_for(holder):
    process, log = holder
    steps = wait_in_log(log, process, lambda one: one.communicate(b"\n"))
    assert steps == ["waits", "runs"]
    assert [path.name for path in log.parent.iterdir()] == ["job.log"]


def test_a_killed_job_leaves_no_lock(holder):
    process, log = holder
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
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


def test_without_locks_of_the_file_system_the_job_runs(tmp_path, monkeypatch):
    def refuse(file, flags):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with only_process(tmp_path / ".job.lock", lambda: pytest.fail("it waits for nobody")):
        pass


def test_the_error_of_a_job_is_said_although_the_log_cannot_be_written(tmp_path, capfd):
    (tmp_path / "job.log").symlink_to("/dev/full")
    with pytest.raises(SystemExit), log_job(tmp_path / "job.log"):
        raise OSError(28, "No space left on device")
    assert "No space left on device" in capfd.readouterr().err


#: Claims the results, says so, and ends when it is told to.
CLAIMER = """\
import sys
from rhvae_mri.locks import claim
claim(sys.argv[1])
print("claimed", flush=True)
input()
"""


@pytest.fixture
def claimer(tmp_path, root):
    """Another run of the study, which has begun."""
    lock = tmp_path / "results" / "logs" / ".run.lock"
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIMER, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root / "workflow")},
        text=True,
    )
    assert process.stdout.readline() == "claimed\n"
    yield process, lock
    process.kill()
    process.communicate()


def test_a_second_run_is_told_which_process_works_on_the_results(claimer):
    process, lock = claimer
    with pytest.raises(StudyError, match="Another run of the study") as error:
        claim(lock)
    assert f"process {process.pid} on " in error.value.cause
    assert process.poll() is None


def test_a_killed_run_can_be_followed_by_another(claimer):
    process, lock = claimer
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    claim(lock)
    assert lock.read_text().startswith(f"process {os.getpid()} on ")


def test_results_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(StudyError, match="cannot be written") as error:
        claim(tmp_path / "results" / "logs" / ".run.lock")
    assert "pathvars" in error.value.remedy
