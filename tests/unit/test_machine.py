"""What a job computes with: one record for all equal jobs, named in their logs, without names or places."""

import getpass
import io
import json
import os
import platform
import re
import socket
import subprocess
import sys
import time

import pytest

from rhvae_mri.io.files import read_json
from rhvae_mri.runtime import machine
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.runtime.machine import LOG_LINE, MACHINES, describe_computation, record_machine

#: A job that computes with torch, in a process of its own.
JOB = (
    "import sys, torch\nfrom rhvae_mri.runtime.logs import log_job\n"
    "with log_job(sys.argv[1]):\n    torch.set_num_threads(int(sys.argv[2]))\n"
)


def run_job(root, log, threads):
    environment = os.environ | {"PYTHONPATH": str(root / "workflow"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", JOB, log, str(threads)], env=environment, check=True)
    return LOG_LINE.search(log.read_text())[1]


def test_the_log_names_the_record_and_equal_jobs_share_it(root, tmp_path):
    logs = tmp_path / "results" / "logs" / "train_cnn"
    one, same, other = (run_job(root, logs / f"{name}.log", threads) for name, threads in ("a1", "b1", "c2"))
    assert one == same != other
    records = {name: read_json(tmp_path / "results" / MACHINES / f"{name}.json") for name in (one, other)}
    assert {path.stem for path in (tmp_path / "results" / MACHINES).iterdir()} == records.keys()
    assert [record["torch"]["threads"] for record in records.values()] == [1, 2]
    for record in records.values():
        assert record["environment"]["OMP_NUM_THREADS"] == "1"
        assert {"numpy", "torch"} <= record["libraries"].keys()
        assert record["torch"]["capability"] in record["torch"]["build"]


def test_a_record_names_no_person_computer_or_folder(root, tmp_path):
    name = run_job(root, tmp_path / "logs" / "job.log", 1)
    text = (tmp_path / MACHINES / f"{name}.json").read_text()
    for secret in (socket.gethostname(), getpass.getuser(), str(root), str(tmp_path), sys.prefix):
        assert not re.search(rf"\b{re.escape(secret)}\b", text)
    assert not re.search(r"(?<![\w.])/[a-z]+/", text)


def test_a_job_that_has_not_imported_torch_does_not_import_it(root):
    code = (
        "import sys\nfrom rhvae_mri.runtime.machine import describe_computation\n"
        "assert 'torch' not in describe_computation()\nassert 'torch' not in sys.modules\n"
        "assert 'numpy' not in sys.modules\n"
    )
    environment = os.environ | {"PYTHONPATH": str(root / "workflow")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_it_takes_less_than_10_milliseconds(tmp_path):
    log = tmp_path / "logs" / "job.log"
    times = []
    for _ in range(5):
        begin = time.process_time()
        record_machine(log)
        times.append(time.process_time() - begin)
    assert sorted(times)[2] < 0.01


@pytest.mark.parametrize("system", ["", "Darwin"])
def test_without_proc_the_model_alone_is_known(monkeypatch, system):
    def missing(*arguments, **options):
        raise FileNotFoundError("/proc/cpuinfo")

    monkeypatch.setattr("builtins.open", missing)
    monkeypatch.setattr(platform, "processor", lambda: "arm" if system else "")
    monkeypatch.delattr(os, "confstr")
    expected = "arm" if system else "unknown"
    assert describe_computation()["processor"] == {"model name": expected}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "processor\t: 0\nmodel name\t: AMD EPYC\nmodel\t\t: 17\ncpu MHz\t\t: 26\nflags\t\t: fpu avx2\n\n"
            "processor\t: 1\nmodel name\t: another\n\n",
            {"model name": "AMD EPYC", "model": "17", "flags": "fpu avx2"},
        ),
        (
            "processor\t: 0\nBogoMIPS\t: 50\nFeatures\t: fp asimd\nCPU part\t: 0xd0c\n",
            {"Features": "fp asimd", "CPU part": "0xd0c"},
        ),
    ],
)
def test_of_the_first_processor_is_kept_what_numbers_depend_on(monkeypatch, text, expected):
    monkeypatch.setattr(machine, "open", lambda *_, **__: io.BytesIO(text.encode()), raising=False)
    assert machine.read_processor() == expected


def test_jobs_that_write_the_same_record_at_once_do_not_disturb_each_other(tmp_path, monkeypatch):
    replace = os.replace

    def write_first(source, target):
        monkeypatch.setattr(os, "replace", replace)
        record_machine(tmp_path / "logs" / "other.log")
        replace(source, target)

    monkeypatch.setattr(os, "replace", write_first)
    name = record_machine(tmp_path / "logs" / "job.log")
    assert [path.name for path in (tmp_path / MACHINES).iterdir()] == [f"{name}.json"]
    assert json.loads((tmp_path / MACHINES / f"{name}.json").read_text()) == describe_computation()


def test_a_record_that_cannot_be_written_fails_no_job(tmp_path, capsys):
    (tmp_path / "provenance").write_text("a file in the place of the folder")
    with log_job(tmp_path / "logs" / "job.log"):
        pass
    assert "could not be recorded" in capsys.readouterr().err


def test_a_log_outside_a_folder_of_results_leaves_nothing_behind(tmp_path):
    with log_job(tmp_path / "job.log"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["job.log"]
