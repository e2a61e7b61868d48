"""Whether anything has changed in the folders that users give, and whether everything is there.

Snakemake knows the time of a folder itself only. So rules that read one have a digest of what is in it as a
parameter, and run again when it changes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rhvae_mri.errors import StudyError
from rhvae_mri.files import read_json

#: Files whose content counts; of all others size and times count.
_TABLES = (".tsv", ".json", ".csv", ".txt")

#: Folders of a BIDS dataset that hold no raw images of it.
_OTHER_FOLDERS = frozenset({"derivatives", "sourcedata", "code", "stimuli"})

_ANNEX = "annex/objects/"
_LARGEST_POINTER = 2**15


def bids_files(folder: Path) -> list[Path]:
    """List the files of a BIDS dataset in a fixed order, at any depth, without hidden ones and other data."""
    return [Path(entry.path) for entry in _files(folder, _OTHER_FOLDERS)]


def bids_digest(folder: Path) -> str:
    """Digest a BIDS dataset: its tables by their content, all else by size and times.

    An image that is changed and keeps its size, its time of modification and the time of its directory entry,
    which only the system sets, is not noticed.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    return _digest(folder, _files(folder, _OTHER_FOLDERS), entry_time=True)


def download_digest(images: Path, tables: Path) -> str:
    """Digest a download: its tables by their content, its images by size and time of modification.

    A conversion takes hours, so the time of the directory entry does not count: a copy or a change of
    permissions sets it.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    parts = [_digest(folder, _files(folder), entry_time=False) for folder in (images, tables)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def digest_of_cohort(cohort: Mapping[str, Any], record: str | os.PathLike[str]) -> str | None:
    """Digest the folders that a cohort of the configuration comes from.

    Parameters
    ----------
    cohort : mapping
        The cohort's part of the configuration.
    record : path
        JSON file with the digest of the last conversion. It counts where the download is not there any more:
        once a cohort is converted, nobody needs it.

    Returns
    -------
    str or None
        None for a cohort that the workflow simulates, or whose folders are missing without a record.
    """
    if cohort["source"] == "bids":
        return bids_digest(Path(cohort["bids"])) if Path(cohort["bids"]).is_dir() else None
    if cohort["source"] not in ("download", "oasis1"):
        return None
    images, tables = Path(cohort["images"]), Path(cohort["tables"])
    if images.is_dir() and tables.is_dir():
        return download_digest(images, tables)
    return read_json(record)["digest"] if Path(record).is_file() else None


def is_unfetched(path: Path) -> bool:
    """Say whether a file is annexed (git-annex, DataLad) and its content is not there.

    It is a link that leads nowhere, or a small file that holds the place of the content.
    """
    if path.is_symlink():
        return _ANNEX in path.readlink().as_posix() and not path.exists()
    try:
        if path.stat().st_size > _LARGEST_POINTER:
            return False
        with open(path, "rb") as file:
            return file.read(len(_ANNEX) + 1) == f"/{_ANNEX}".encode()
    except OSError:
        return False


def check_fetched(cohort: str, folder: Path) -> None:
    """Check that the images and tables of an annexed BIDS dataset are there.

    Raises
    ------
    StudyError
        With the command that gets those that are not.
    """
    needed = [
        path for path in bids_files(folder) if path.name.endswith((".tsv", ".json")) or "T1w.nii" in path.name
    ]
    missing = [path.relative_to(folder) for path in needed if is_unfetched(path)]
    if missing:
        raise StudyError(
            f"{len(missing)} files of the BIDS dataset of {cohort} are annexed and were not fetched.",
            where=folder,
            cause=f"A DataLad or git-annex dataset was cloned without its content; first: {missing[0]}.",
            remedy=f"Get them: (cd '{folder}' && git ls-files '*T1w.nii*' '*.tsv' '*.json' | git annex get "
            "--batch). To go on without these images, set `allow_missing: true` for the cohort.",
        )


def _files(folder: Path, without: frozenset[str] = frozenset()) -> list[os.DirEntry[str]]:
    """List the files below a folder, without hidden ones, through links to folders too, each folder once."""
    waiting, seen, found = [str(folder)], set(), []
    while waiting:
        place = waiting.pop()
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith(".") or (place == str(folder) and entry.name in without):
                    continue
                if _is_folder(entry):
                    waiting.append(entry.path)
                else:
                    found.append(entry)
    return sorted(found, key=lambda entry: entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a folder, or leads to one; a link to itself does not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _digest(folder: Path, files: Iterable[os.DirEntry[str]], *, entry_time: bool) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(file.path[len(str(folder)) :]) + b"\0")
        try:
            if file.name.lower().endswith(_TABLES):
                digest.update(hashlib.sha256(Path(file.path).read_bytes()).digest())
            else:
                status = file.stat()
                times = (status.st_mtime_ns, status.st_ctime_ns if entry_time else 0)
                digest.update(f"{status.st_size}/{times}".encode())
        except OSError:
            digest.update(b"not there")
    return digest.hexdigest()[:16]
