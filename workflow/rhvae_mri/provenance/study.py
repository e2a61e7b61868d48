"""What a study ran with: its configuration, the revision of the code, all packages, and the machine.

Nothing here names a person or a computer: paths of the configuration that lead out of the study's folder are
cut down to their last part, and neither the user nor the host is recorded.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import mmap
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rhvae_mri
from rhvae_mri.io.files import write_json, write_text
from rhvae_mri.runtime.machine import read_processor

UNKNOWN = "unknown"
NOT_INSTALLED = "not installed"

#: What stands in place of the folders of a path that leads out of the study's folder.
_ELSEWHERE = "(elsewhere)"

_SECONDS = 60

_ANTS_PROGRAM = """
from rhvae_mri.preprocess.ants_library import load_ants
ants = load_ants(1)
print(ants.__file__, flush=True)
ants.antsRegistration(["--version"])
"""


def record_provenance(
    configuration: Mapping[str, Any],
    revision: str,
    configuration_file: str | os.PathLike[str],
    software_file: str | os.PathLike[str],
    machine_file: str | os.PathLike[str],
) -> None:
    """Record what the study runs with: its configuration (YAML), its software and its machine (JSON).

    With one conda environment per rule, the packages are those of the environment of this job; the JSON file
    beside each image has the versions that made it.
    """
    import yaml

    content = _without_places(configuration)
    write_text(configuration_file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    write_json(software_file, describe_software(revision))
    write_json(machine_file, describe_machine())


def code_revision(folder: str | os.PathLike[str]) -> str:
    """Give the git revision of a folder, with ``-dirty`` where tracked files were changed; or ``unknown``."""
    git = ["git", "-C", os.fspath(folder)]
    revision = _output_of([*git, "rev-parse", "HEAD"])
    if not revision:
        return UNKNOWN
    changed = _output_of([*git, "status", "--porcelain", "--untracked-files=no", "--", "."])
    return revision.strip() + ("-dirty" if changed else "")


def packages_digest() -> str:
    """Digest this version and the names and versions of all installed packages; cheap: no package is read."""
    names = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    return hashlib.sha256("\n".join([rhvae_mri.__version__, *names]).encode()).hexdigest()[:16]


def describe_software(revision: str) -> dict[str, Any]:
    """Give the versions of this library, of Python, of the tools and of all installed packages."""
    installed = importlib.metadata.distributions()
    packages = {(each.metadata["Name"] or "").lower(): each.version for each in installed}
    return {
        "rhvae-mri": {"version": rhvae_mri.__version__, "revision": revision},
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "tools": {
            **{name: packages.get(name, NOT_INSTALLED) for name in ("snakemake", "clinica", "antspyx")},
            "dcm2niix": _dcm2niix_version(),
            **_ants_versions(),
        },
        "packages": {name: packages[name] for name in sorted(packages) if name},
    }


def describe_machine() -> dict[str, Any]:
    """Give processor, memory, operating system and graphics cards of this machine, without its name."""
    system = {}
    with suppress(OSError):
        system = platform.freedesktop_os_release()
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    return {
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": read_processor().get("model name", UNKNOWN),
        "cores": os.cpu_count(),
        "cores_for_this_job": len(os.sched_getaffinity(0)),
        "memory_gb": round(gigabytes, 1),
        "architecture": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "operating_system": system.get("PRETTY_NAME", UNKNOWN),
        "gpus": _output_of(query).splitlines(),
    }


def _without_places(value: Any) -> Any:
    """Copy a value of the configuration; paths that lead out of the working directory lose their folders."""
    if isinstance(value, Mapping):
        return {str(key): _without_places(each) for key, each in value.items()}
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        path = Path(text)
        if path.is_absolute() and path.is_relative_to(Path.cwd()):
            return path.relative_to(Path.cwd()).as_posix()
        is_outside = path.is_absolute() or text.startswith("~") or ".." in path.parts
        return f"{_ELSEWHERE}/{path.name}" if is_outside else text
    if isinstance(value, Sequence):
        return [_without_places(each) for each in value]
    return value


def _output_of(command: Sequence[str], status: int = 0, **environment: str) -> str:
    """Return what a program prints; nothing if it is not there or ends with another status."""
    nothing, pipe, variables = subprocess.DEVNULL, subprocess.PIPE, os.environ | environment
    options: dict[str, Any] = {"text": True, "errors": "replace", "timeout": _SECONDS, "check": False}
    try:
        finished = subprocess.run(
            command, stdin=nothing, stdout=pipe, stderr=nothing, env=variables, **options
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return finished.stdout if finished.returncode == status else ""


def _dcm2niix_version() -> str:
    """Return what dcm2niix says of itself, which it ends with status 3."""
    said = _output_of([sys.executable, "-m", "dcm2niix", "--version"], status=3)
    version = re.search(r"version (\S+)", said)
    return version[1] if version else NOT_INSTALLED


def _ants_versions() -> dict[str, str]:
    """Return the versions of ANTs and ITK inside antspyx: the package's own version says neither."""
    library = str(Path(rhvae_mri.__file__).parents[1])
    path, _, said = _output_of([sys.executable, "-c", _ANTS_PROGRAM], PYTHONPATH=library).partition("\n")
    if not path:
        return {"ANTs": NOT_INSTALLED, "ITK": NOT_INSTALLED}
    ants = re.search(r"ANTs Version: (\S+)", said)
    # ITK has no call for it; its writers of images put this text into their files
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        itk = re.search(rb"itk version (\d+(?:\.\d+)+)", content)
        return {"ANTs": ants[1] if ants else UNKNOWN, "ITK": itk[1].decode() if itk else UNKNOWN}
