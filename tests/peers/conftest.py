"""The Python of `.venv-peers`, which has the other implementations."""

import os
import subprocess
from pathlib import Path

import pytest

PYTHON = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"


@pytest.fixture(scope="session")
def run_peer():
    """Run a script of this folder in the environment of the peers."""
    if not PYTHON.is_file():
        pytest.skip("the other implementations are not installed: make peers")

    def run(script, *arguments, **variables):
        result = subprocess.run(
            [PYTHON, "-W", "ignore", Path(__file__).with_name(script), *arguments],
            env=os.environ | {"PYTHONPATH": "", "OMP_NUM_THREADS": "1"} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout

    return run
