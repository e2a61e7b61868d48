"""JSON files beside the images, with BIDS derivative terms: an image's sources and what was done to it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import rhvae_mri
from rhvae_mri.io.files import write_json

#: The names under which BIDS URIs speak of the data set that holds the raw images, and of the folder of the
#: template; the derivatives' ``DatasetLinks`` say where both are.
RAW_DATASET, TEMPLATE_DATASET = "raw", "template"

_SUFFIXES = (".nii.gz", ".nii", ".mat", ".safetensors")


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Give the place of the JSON file that describes an image or a transform."""
    target = Path(path)
    for suffix in _SUFFIXES:
        if target.name.endswith(suffix):
            return target.with_name(target.name.removesuffix(suffix) + ".json")
    return target.with_name(target.name + ".json")


def software_versions(*packages: str) -> dict[str, str]:
    """Give the versions of this library, of Python and of the named installed packages."""
    versions = {"rhvae-mri": rhvae_mri.__version__, "python": platform.python_version()}
    for package in packages:
        versions[package] = "not installed"
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def source_uri(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> str:
    """Name a source file in the sidecar of a target: a BIDS URI in a BIDS folder, else its name."""
    root, inside = _split_bids(Path(source))
    if root is None:
        in_template = Path(source).parent.name == TEMPLATE_DATASET
        return f"bids:{TEMPLATE_DATASET}:{inside}" if in_template else inside
    target_root, _ = _split_bids(Path(target))
    dataset = "" if target_root is not None and root.resolve() == target_root.resolve() else RAW_DATASET
    return f"bids:{dataset}:{inside}"


def write_sidecar(
    target: str | os.PathLike[str],
    description: str,
    sources: Sequence[str | os.PathLike[str]],
    packages: Sequence[str],
    **fields: Any,
) -> None:
    """Describe an image in the JSON file beside it."""
    content = {
        "Description": description,
        "Sources": [source_uri(source, target) for source in sources],
        "SkullStripped": False,
        **fields,
        # BIDS has the term SoftwareVersions already, for the software of the scanner
        "SoftwarePackages": software_versions(*packages),
    }
    write_json(sidecar_path(target), content)


def _split_bids(path: Path) -> tuple[Path | None, str]:
    """Split a path into the root of its BIDS data set and the path inside it (without one: the name)."""
    for parent in path.parents:
        if parent.name.startswith("sub-"):
            return parent.parent, path.relative_to(parent.parent).as_posix()
    return None, path.name
