"""Whether anything has changed in the folders that users give, and whether everything is there.

Snakemake knows the time of a folder itself only. So rules that read one have a digest of what is in it as a
parameter, and run again when it changes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json

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
    """Digest a BIDS dataset in 16 digits: its tables by their content, all else by size and times.

    An image that is changed and keeps its size, its time of modification and the time of its directory entry,
    which only the system sets, is not noticed.
    """
    return _digest(folder, _files(folder, _OTHER_FOLDERS), entry_time=True)


def download_digest(images: Path, tables: Path) -> str:
    """Digest a download in 16 digits: its tables by their content, its images by size and modification time.

    A conversion takes hours, so the time of the directory entry does not count: a copy or a change of
    permissions sets it.
    """
    parts = [_digest(folder, _files(folder), entry_time=False) for folder in (images, tables)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def digest_of_cohort(cohort: Mapping[str, Any], record: str | os.PathLike[str]) -> str | None:
    """Digest the folders that a cohort of the configuration comes from, if there are any.

    Once a cohort is converted, nobody needs its download: where that is gone, the digest in the record of the
    last conversion counts, a JSON file.
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
    """Say whether a file is annexed (git-annex, DataLad) and its content is elsewhere.

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


def check_fetched(cohort: str, folder: Path, *, allow_missing: bool = False) -> None:
    """Check that an annexed BIDS dataset's tables, and its images unless they may be missing, are there."""
    modules = folder / ".gitmodules"
    paths = re.findall(r"^\s*path\s*=\s*(.+?)\s*$", modules.read_text(), re.M) if modules.is_file() else []
    empty = [path for path in paths if (folder / path).is_dir() and not any((folder / path).iterdir())]
    go_on = "set `allow_missing: true` for the cohort."
    if empty and not allow_missing:
        raise StudyError(
            f"{len(empty)} parts of the BIDS dataset of {cohort} are not installed; the first is {empty[0]}.",
            where=folder,
            cause="They are datasets of their own (git submodules, DataLad subdatasets).",
            remedy=f"Install them: git -C '{folder}' submodule update --init --recursive. To go on without "
            f"them, {go_on}",
        )
    ends = (".tsv", ".json") if allow_missing else (".tsv", ".json", "T1w.nii", "T1w.nii.gz")
    missing = [path for path in bids_files(folder) if path.name.endswith(ends) and is_unfetched(path)]
    if missing:
        patterns = " ".join(f"'*{end}'" for end in ends)
        command = f"git ls-files {patterns} ':!derivatives' ':!sourcedata' | git annex get --batch"
        if paths:
            command = f'git submodule foreach --recursive "{command}" && {command}'
        remedy = f"Get them: (cd '{folder}' && {command})."
        raise StudyError(
            f"{len(missing)} files of the BIDS dataset of {cohort} are annexed and were not fetched.",
            where=folder,
            cause="A DataLad or git-annex dataset was cloned without its content; first: "
            f"{missing[0].relative_to(folder)}.",
            remedy=remedy if allow_missing else f"{remedy} To go on without images, {go_on}",
        )


def _files(folder: Path, without: frozenset[str] = frozenset()) -> list[os.DirEntry[str]]:
    """List the files below a folder, without hidden ones, through links to folders that do not hold it."""
    waiting, found = [(str(folder), frozenset[tuple[int, int]]())], []
    while waiting:
        place, above = waiting.pop()
        try:
            status = Path(place).stat()
            if (status.st_dev, status.st_ino) in above:
                continue
            with os.scandir(place) as entries:
                inside = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            raise StudyError("A folder cannot be read.", where=place, cause=str(error)) from error
        for entry in inside:
            if place == str(folder) and entry.name in without:
                continue
            if _is_folder(entry):
                waiting.append((entry.path, above | {(status.st_dev, status.st_ino)}))
            else:
                found.append(entry)
    return sorted(found, key=lambda entry: entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a folder; a link that leads to itself is none."""
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
