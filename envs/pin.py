"""Print the exact pins of a pip installation report (see `make pins`)."""

import json
import sys

HEADER = """\
# The exact version of every package: written by `make pins` from requirements.in, resolved in one go.
# Holds for Python 3.11, 3.12 and 3.13. torch pins its own CUDA packages where its build has them.
"""

report = json.load(sys.stdin)
packages = {item["metadata"]["name"].lower(): item["metadata"]["version"] for item in report["install"]}
print(HEADER + "\n".join(f"{name}=={version.split('+')[0]}" for name, version in sorted(packages.items())))
