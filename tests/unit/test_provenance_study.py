"""What a study ran with, and that nothing of it names a person or a computer."""

import os
import platform
import re
import shutil
import socket
import subprocess

import pytest
import yaml

from rhvae_mri.io.files import read_json
from rhvae_mri.provenance import study

CONFIGURATION = {
    "pathvars": {"results": "results"},
    "cohorts": {
        "ADNI": {"source": "download", "images": "/home/jane-q-doe/ADNI/images", "tables": "~/tables"}
    },
    "exclude": "../jane-q-doe/exclude.tsv",
    "template": {"file": None, "voxel_size": 1.5},
    "registration": {"iterations": (1000, 500), "smoothing_unit": "vox"},
}


def record(folder, configuration=CONFIGURATION, revision="unknown"):
    files = [folder / name for name in ("configuration.yaml", "software.json", "machine.json")]
    study.record_provenance(configuration, revision, *files)
    return files


@pytest.fixture
def git(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "repository"

    def run(*arguments):
        identity = [
            "-c",
            "user.name=nobody",
            "-c",
            "user.email=nobody@localhost",
            "-c",
            "commit.gpgsign=false",
        ]
        return subprocess.run(
            ["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    folder.mkdir()
    run("init", "--quiet")
    return folder, run


def test_the_configuration_is_recorded_without_the_places_of_outside_files(tmp_path):
    configuration, *_ = record(tmp_path)
    recorded = yaml.safe_load(configuration.read_text())
    assert recorded["cohorts"]["ADNI"] == {
        "source": "download",
        "images": "(elsewhere)/images",
        "tables": "(elsewhere)/tables",
    }
    assert recorded["exclude"] == "(elsewhere)/exclude.tsv"
    assert recorded["pathvars"] == CONFIGURATION["pathvars"]
    assert recorded["template"] == CONFIGURATION["template"]
    assert recorded["registration"] == {"iterations": [1000, 500], "smoothing_unit": "vox"}
    assert list(recorded) == list(CONFIGURATION)


def test_a_path_in_the_study_s_folder_becomes_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configuration, *_ = record(tmp_path, {"exclude": str(tmp_path / "config" / "exclude.tsv")})
    assert yaml.safe_load(configuration.read_text()) == {"exclude": "config/exclude.tsv"}


def test_no_file_names_the_user_the_host_or_the_home_folder(tmp_path, monkeypatch):
    for name in ("USER", "LOGNAME", "HOSTNAME", "HOME"):
        monkeypatch.setenv(name, "/home/jane-q-doe" if name == "HOME" else "jane-q-doe")
    text = "".join(path.read_text() for path in record(tmp_path))
    assert "jane-q-doe" not in text
    assert "/home" not in text
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)


def test_versions_of_python_packages_and_tools(tmp_path):
    _, software, _ = record(tmp_path, revision="abc-dirty")
    content = read_json(software)
    assert content["rhvae-mri"]["revision"] == "abc-dirty"
    assert content["python"].endswith(platform.python_version())
    assert content["packages"]["numpy"].count(".") == 2
    assert list(content["packages"]) == sorted(content["packages"])
    tools = content["tools"]
    assert tools["antspyx"] == content["packages"]["antspyx"]
    assert re.fullmatch(r"v\d+\.\d+\.\d+.*", tools["ANTs"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", tools["ITK"])
    assert re.fullmatch(r"v1\.0\.\d{8}", tools["dcm2niix"])
    assert tools["snakemake"] == content["packages"]["snakemake"]


def test_the_machine(tmp_path):
    *_, machine = record(tmp_path)
    content = read_json(machine)
    assert content["cores"] >= content["cores_for_this_job"] >= 1
    assert content["memory_gb"] > 0.1
    assert content["processor"]
    assert content["kernel"].startswith(platform.system())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", content["recorded"])


@pytest.mark.parametrize(("status", "gpus"), [(0, ["NVIDIA X, 81559 MiB, 570.1"]), (9, [])])
def test_graphics_cards(tmp_path, monkeypatch, status, gpus):
    """When NVIDIA's tool fails, it prints the reason where the answer is expected."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho 'NVIDIA X, 81559 MiB, 570.1'\nexit {status}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert study.describe_machine()["gpus"] == gpus


def test_missing_tools_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(study.sys, "executable", str(tmp_path / "no-python"))
    tools = study.describe_software("unknown")["tools"]
    assert {tools["dcm2niix"], tools["ANTs"], tools["ITK"]} == {"not installed"}


def test_the_revision_of_the_code(git):
    folder, run = git
    assert study.code_revision(folder) == "unknown"  # nothing is committed yet
    (folder / "code.py").write_text("1\n")
    run("add", "code.py")
    run("commit", "--quiet", "-m", "first")
    revision = run("rev-parse", "HEAD")
    assert study.code_revision(folder) == revision
    (folder / "results.txt").write_text("untracked\n")
    assert study.code_revision(folder) == revision
    (folder / "code.py").write_text("2\n")
    assert study.code_revision(folder) == f"{revision}-dirty"


def test_outside_git_or_without_it_the_revision_is_unknown(tmp_path, monkeypatch):
    assert study.code_revision(tmp_path) == "unknown"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert study.code_revision(tmp_path) == "unknown"
