import os
import subprocess
import sys

import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.runtime import jobs


def test_a_child_process_can_import_the_library(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    jobs.export_library()
    jobs.export_library()
    assert len(os.environ["PYTHONPATH"].split(os.pathsep)) == 2
    subprocess.run([sys.executable, "-c", "import rhvae_mri.io.errors"], check=True, cwd=tmp_path)


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("No username set in the environment")])
def test_a_user_without_a_name_gets_one_and_any_other_keeps_his(monkeypatch, error):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def nobody_there():
        raise error

    monkeypatch.setattr(jobs.getpass, "getuser", lambda: "somebody")
    jobs.name_user()
    assert "USER" not in os.environ
    monkeypatch.setattr(jobs.getpass, "getuser", nobody_there)
    jobs.name_user()
    assert os.environ["USER"] == "nobody"
    monkeypatch.delenv("USER")


@pytest.mark.parametrize(
    ("device", "tool", "expected"),
    [("auto", None, 0), ("auto", "/bin/nvidia-smi", 1), ("cpu", "/bin/nvidia-smi", 0), ("cuda", None, 1)],
)
def test_a_training_job_counts_as_a_gpu_job_where_it_finds_one(monkeypatch, device, tool, expected):
    monkeypatch.setattr(jobs.shutil, "which", lambda name: tool)
    assert jobs.count_gpus(device) == expected


def test_a_process_outlives_the_warning_before_a_time_limit_and_so_do_its_children(root):
    code = (
        "import os, signal, subprocess, sys\n"
        "from rhvae_mri.runtime.jobs import ignore_time_warnings\n"
        "ignore_time_warnings()\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "subprocess.run(['bash', '-c', 'kill -USR1 $$; exit 7'])\n"
        "child = 'import os, signal; os.kill(os.getpid(), signal.SIGUSR1); os._exit(7)'\n"
        "sys.exit(subprocess.run([sys.executable, '-c', child]).returncode)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(root / "workflow")}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 7


@pytest.mark.parametrize("folder", ["/home/jane/study-1_b", "/home/été/x.y", "/mnt/a+b@c"])
def test_a_python_that_a_shell_can_name_is_taken(monkeypatch, folder):
    monkeypatch.setattr(sys, "executable", f"{folder}/bin/python3.11")
    jobs.check_interpreter()


@pytest.mark.parametrize(
    "folder", ["/a b", "/a(2)", "/a[1]", "/a'b", "/a&b", "/a$b", "/a;b", "/a#b", "/a{b}"]
)
def test_a_python_that_a_shell_cannot_name_is_refused(monkeypatch, folder):
    monkeypatch.setattr(sys, "executable", f"{folder}/bin/python3.11")
    with pytest.raises(StudyError, match="path has a space, a bracket"):
        jobs.check_interpreter()
