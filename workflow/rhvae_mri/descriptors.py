"""Files from elsewhere that the study needs: pinned downloads, by descriptor, or files of the user's own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rhvae_mri.downloads import check_file, fetch, sha256_of
from rhvae_mri.errors import StudyError

_SUFFIXES = (".json", ".yaml", ".yml")

#: Optional texts of a descriptor, and what sidecars call them.
_ORIGIN = {"name": "Origin", "url": "URL", "license": "License", "reference": "Reference"}


def read_descriptor(path: str | os.PathLike[str], entry: str | None = None) -> dict[str, Any]:
    """Read the descriptor of a pinned download.

    Parameters
    ----------
    path : path
        A JSON or YAML file with at least `url` and `sha256`, or with several such descriptors by name.
    entry : str, optional
        The name of the one to take, in a file of several.

    Raises
    ------
    StudyError
        If it cannot be read, has no such entry, or lacks one of the two.
    """
    import yaml

    file = check_file(path)
    try:
        descriptor = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError("The descriptor is not valid JSON or YAML.", where=file, cause=str(error)) from error
    if entry is not None:
        known = sorted(descriptor) if isinstance(descriptor, dict) else []
        if entry not in known:
            raise StudyError(
                f"The file of descriptors has no entry {entry!r}.",
                where=file,
                remedy=f"Its entries are {', '.join(known)}." if known else None,
            )
        descriptor = descriptor[entry]
    for key in ("url", "sha256"):
        if not isinstance(descriptor, dict) or not isinstance(descriptor.get(key), str):
            raise StudyError(
                f"The descriptor has no text `{key}`.",
                where=file,
                remedy="A descriptor needs `url` and `sha256`; resources/template.json is one.",
            )
    return descriptor


def obtain_file(
    source: str | os.PathLike[str], downloads: str | os.PathLike[str], entry: str | None = None
) -> tuple[Path, dict[str, str]]:
    """Give the file that a descriptor names, downloaded if need be, or the user's own.

    Parameters
    ----------
    source : path
        A descriptor (``.json``, ``.yaml``, ``.yml``), or the file itself.
    downloads : path
        Folder for the download.
    entry : str, optional
        The name of the descriptor, in a file of several.

    Returns
    -------
    file : pathlib.Path
        The file.
    origin : dict of str to str
        What a sidecar says of it: Origin, for a download URL and what else the descriptor knows, SHA256.

    Raises
    ------
    StudyError
        If the source cannot be read or downloaded, or is not the pinned file.
    """
    if not os.fspath(source).lower().endswith(_SUFFIXES):
        file = check_file(source)
        return file, {"Origin": "the user's file", "SHA256": sha256_of(file)}
    descriptor = read_descriptor(source, entry)
    name = _file_name(descriptor["url"])
    file = fetch(descriptor["url"], descriptor["sha256"], Path(downloads) / name)
    known = {"name": name, **descriptor}
    origin = {term: str(known[key]) for key, term in _ORIGIN.items() if key in known}
    return file, {**origin, "SHA256": descriptor["sha256"].lower()}


def _file_name(url: str) -> str:
    """Return the last part of an address, if it can be the name of a file and nothing else."""
    name = urlsplit(url).path.rsplit("/", 1)[-1]
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name):
        raise StudyError(
            "The address does not end in the plain name of a file.",
            where=url,
            remedy="Give an address that ends in letters, digits, dots and dashes; or download the file "
            "yourself and give its path.",
        )
    return name
