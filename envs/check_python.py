"""Stop with a clear message where the exact pins cannot be installed; runs under any Python 3."""

import importlib.util
import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(
        "{} is Python {}.{}, but rhvae-mri needs 3.11, 3.12 or 3.13.\n"
        "Install one of these, or name it: make PYTHON=/path/to/python3.11 demo".format(
            sys.executable, *sys.version_info[:2]
        )
    )
if importlib.util.find_spec("ensurepip") is None:
    sys.exit("This Python lacks the venv module with pip. On Debian and Ubuntu: apt-get install python3-venv")
