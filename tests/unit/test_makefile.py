"""What `make` gives to the programs that it starts, and what it refuses before anything is installed."""

import os
import shutil
import subprocess

import pytest


def run_make(folder, *arguments, environment=None):
    variables = {"PATH": os.environ["PATH"]} | (environment or {})
    return subprocess.run(
        ["make", "-C", folder, *arguments], env=variables, capture_output=True, text=True, check=False
    )


@pytest.fixture
def clone(root, tmp_path):
    """A folder with what `make` needs to install, and nothing else."""
    folder = tmp_path / "clone"
    (folder / "envs").mkdir(parents=True)
    shutil.copy(root / "Makefile", folder)
    for name in ("check_python.py", "requirements.txt"):
        shutil.copy(root / "envs" / name, folder / "envs")
    return folder


@pytest.mark.parametrize("home", [None, "", "/nonexistent"])
def test_a_user_without_a_home_gets_one_in_the_clone(clone, home):
    environment = {} if home is None else {"HOME": home}
    shown = run_make(clone, "-s", "--eval", "show:;@echo $$HOME,$$USER", "show", environment=environment)
    home, user = shown.stdout.strip().split(",")
    assert (home, bool(user)) == (f"{clone}/.home", True)


def test_what_programs_keep_stays_below_the_clone_but_what_pip_has_fetched(clone, tmp_path):
    names = ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "PIP_CACHE_DIR")
    rule = "show:;@echo " + " ".join(f"$${name}" for name in names)
    home = {"HOME": str(tmp_path)}
    kept = run_make(clone, "-s", "--eval", rule, "show", environment=home).stdout.split()
    assert kept == [
        *(str(tmp_path), f"{clone}/.home/.cache", f"{clone}/.home/.cache/matplotlib"),
        f"{tmp_path}/.cache/pip",
    ]


@pytest.mark.parametrize("name", ["a b", "study (2)", "[x]", "it's", "a&b"])
def test_a_folder_that_snakemake_cannot_start_from_is_refused_before_anything_is_installed(clone, name):
    moved = clone.rename(clone.with_name(name))
    made = run_make(moved, "environment")
    assert made.returncode != 0
    assert "its path has a space, a bracket or the like" in made.stderr
    assert "Nothing was installed" in made.stderr
    assert not (moved / ".venv").exists()


def test_a_program_that_is_not_there_is_named(clone):
    made = run_make(clone, "PYTHON=python2.0", "environment")
    assert made.returncode != 0
    assert "There is no program python2.0" in made.stdout
    assert not (clone / ".venv").exists()
