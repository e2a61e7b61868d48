"""The small study through a real Slurm, undisturbed and disturbed."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from fault_study import Study, runs_script
from faults import complete

pytestmark = pytest.mark.demo

#: Files appear at once here, most jobs end within the seconds between two looks (ten more each time
#: that none has ended), and two groups of images keep both cores busy.
ARGUMENTS = [
    *("--jobs", "4", "--latency-wait", "10", "--slurm-init-seconds-before-status-checks", "12"),
    *("--group-components", "preprocessing=9", "reporting=1000"),
]
SCRIPT = Path(__file__).with_name("one_node.sh")


@dataclass
class Cluster:
    """The cluster in its folder."""

    folder: Path

    def send(self, word):
        """Let the script do something; its exit status."""
        return subprocess.run(
            ["bash", str(SCRIPT), word, str(self.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the daemons would keep a pipe open
            check=False,
        ).returncode

    def daemon(self, name):
        """Give the process identifier of one of its daemons."""
        return int((self.folder / f"{name}.pid").read_text())


def skip(reason):
    """Skip with a warning beside the reason: without these tests nothing is known about clusters."""
    warnings.warn(f"THE TESTS ON A REAL SLURM ARE SKIPPED: {reason}", stacklevel=2)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if os.geteuid() != 0:
        skip("Slurm's daemons need root.")
    if not shutil.which("slurmctld") and not shutil.which("apt-get"):
        skip("Slurm is not installed, and there is no apt to install it.")
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    status = cluster.send("start")
    if status == 3:
        skip("This machine has a Slurm of its own.")
    assert status == 0, "Slurm does not start; the script has said why."
    yield cluster
    assert cluster.send("stop") == 0


@pytest.fixture(scope="module")
def arguments(root):
    return ["--profile", str(root / "workflow/profiles/slurm"), *ARGUMENTS]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, arguments, slurm):
    """The small study, run through Slurm up to its tables, and what the run printed."""
    study = Study(tmp_path_factory.mktemp("slurm") / "study", arguments)
    run = study.start()
    assert run.wait() == 0, run.output
    return study, run.output


def list_jobs(states="RUNNING"):
    """Number and comment of each job in some states; the comment names its rule or group."""
    answer = subprocess.run(
        ["squeue", "--noheader", f"--states={states}", "--format=%i %k"],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split(" ", 1) for line in answer.stdout.splitlines())


def wait_for_job(name, run, seconds=300):
    """Give the number of a job of a rule or group that Slurm runs."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        for number, comment in list_jobs().items():
            if name in comment:
                return number
        assert run.is_running, run.output
        time.sleep(0.2)
    raise AssertionError(f"No job of {name} ran within {seconds} s:\n{run.output}")


def wait_for_end(job, run, seconds=300):
    """Wait until a job has left the node; yield about a hundred times between two looks."""
    limit = time.monotonic() + seconds
    while job in list_jobs("RUNNING,COMPLETING"):
        assert time.monotonic() < limit, f"Job {job} does not end:\n{run.output}"
        for _ in range(100):
            yield
            time.sleep(0.005)


def state_of(job):
    """Give the state in which a job has ended."""
    answer = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True)
    return re.search(r"JobState=(\w+)", answer.stdout)[1]


def find_script(rule, run, seconds=300):
    """Give the process of a job's script, and the job's number."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        assert run.is_running, run.output
        for process in psutil.process_iter(["cmdline", "environ"]):
            job = (process.info["environ"] or {}).get("SLURM_JOB_ID")
            if job and runs_script(process.info["cmdline"], rule):
                return process, job
        time.sleep(0.05)
    raise AssertionError(f"Slurm ran no script of {rule} within {seconds} s.")


def test_slurm_gives_the_results_of_a_local_run(finished, undisturbed):
    study, output = finished
    assert len(re.findall("submitted with SLURM jobid", output)) > 20
    digests = study.digests()
    assert digests == {name: undisturbed[name] for name in digests}
    assert "tables/classification.tsv" in digests
    again = study.start()
    assert again.wait() == 0
    assert "Nothing to be done" in again.output


def test_trainings_survive_a_cluster_that_disturbs_them(finished, arguments, slurm, tmp_path):
    study = Study(shutil.copytree(finished[0].folder, tmp_path / "study"), arguments)
    for pattern in ("rhvae", "synthetic", "cnn/*/*/training_data-augmented", "statistics"):
        for made in study.results.glob(pattern):
            shutil.rmtree(made)
    run = study.start()
    # a cancelled job is tried again
    cancelled = wait_for_job("train_generator", run)
    subprocess.run(["scancel", cancelled], check=True)
    for _ in wait_for_end(cancelled, run):
        pass
    assert state_of(cancelled) == "CANCELLED"
    # a node keeps its jobs while its daemon is away
    wait_for_job("train", run)
    os.kill(slurm.daemon("slurmd"), signal.SIGKILL)
    time.sleep(5)
    assert slurm.send("restart-node") == 0
    # a job that hangs reaches its time limit, and the next attempt goes on from its checkpoint
    script, training = find_script("train_cnn", run)
    script.suspend()
    subprocess.run(["scontrol", "update", f"JobId={training}", "TimeLimit=1"], check=True)
    for _ in wait_for_end(training, run):
        # Slurm wakes a job to warn it
        with contextlib.suppress(psutil.NoSuchProcess):
            script.suspend()
    assert state_of(training) == "TIMEOUT"
    # the main process dies; its jobs go on, and the next run does not disturb them
    wait_for_job("train_cnn", run)
    run.kill_everything()
    problems = complete(study, finished[0].digests(), ahead=False)
    assert not any(problems.values()), problems
