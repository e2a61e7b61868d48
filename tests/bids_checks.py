"""The BIDS validator, a development tool, run on a folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_NAME = "bids-validator-deno"


def bids_errors(folder):
    """The errors that the validator finds, as code and place; the test is skipped where it is missing."""
    program = shutil.which(_NAME, path=str(Path(sys.executable).parent)) or shutil.which(_NAME)
    if program is None:
        pytest.skip(f"{_NAME} is not installed")
    command = [program, "--format", "json", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    issues = json.loads(finished.stdout)["issues"]["issues"]
    errors = sorted(
        (issue["code"], issue.get("location", "")) for issue in issues if issue["severity"] == "error"
    )
    assert (finished.returncode == 0) == (not errors)
    return errors
