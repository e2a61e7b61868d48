"""Stop with a clear message where the exact pins cannot be installed; runs under any Python 3."""

import importlib.util
import re
import sys
from pathlib import Path

if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(
        "{} is Python {}.{}, but rhvae-mri needs 3.11, 3.12 or 3.13.\n"
        "Install one of these, or name it: make PYTHON=/path/to/python3.11 demo".format(
            sys.executable, *sys.version_info[:2]
        )
    )
if importlib.util.find_spec("ensurepip") is None:
    sys.exit("This Python lacks the venv module with pip. On Debian and Ubuntu: apt-get install python3-venv")
if re.search(r"[^\w.,@%+=/-]", str(Path.cwd())):
    sys.exit(
        f"Snakemake cannot start jobs from {Path.cwd()}: its path has a space, a bracket or the like.\n"
        "Move the clone to another folder. Nothing was installed."
    )
