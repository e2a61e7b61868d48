"""Reading and writing of the study's small files, and folders that are complete or absent.

Every write is atomic: it goes beside its target under a temporary name and moves into place when complete, so
a reader never sees half of it and an interrupted job leaves none. What a killed one leaves, the next removes.
"""

from __future__ import annotations

import csv
import glob
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhvae_mri.io.errors import StudyError

if TYPE_CHECKING:
    import nibabel
    import pandas

logger = logging.getLogger(__name__)

#: How BIDS writes a missing value in a table.
MISSING = "n/a"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` when the block ends without an error.

    It has the same folder, which is made where it is missing, and the same suffixes: readers such as nibabel
    go by them.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(target)
    temporary = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
            os.fchmod(written.fileno(), _usual_mode())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(path: str | os.PathLike[str]) -> None:
    """Remove what a process left that was killed while it wrote a file; a checkpoint takes tens of gigabytes.

    Only one process writes a file at a time: `rhvae_mri.runtime.logs.log_job` sees to that.
    """
    target = Path(path)
    for unfinished in target.parent.glob(f".????????.{glob.escape(target.name)}"):
        logger.info("Removing %s, which was not written to its end.", unfinished)
        unfinished.unlink(missing_ok=True)


@cache
def _usual_mode() -> int:
    """Give the permissions that a new file has here; some writers let nobody but the owner read."""
    mask = os.umask(0o077)  # the mask can only be read by setting it
    os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that takes its place when the block ends without an error.

    Its name is always the same, so the next job removes what a killed one has left.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.partial")
    if temporary.exists():
        shutil.rmtree(temporary)
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def reset_future_times(folder: str | os.PathLike[str]) -> int:
    """Give the present time to files from the future, as after a clock was set back; return their number.

    Snakemake refuses an output that is older than its input, so nothing could be made of such files until
    then. Less than a minute is left: clocks of a cluster differ by that much.
    """
    present = time.time()
    ahead = [
        path
        for path in Path(folder).rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_mtime > present + 60
    ]
    for path in ahead:
        os.utime(path, (present, present))
    return len(ahead)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write ``content`` as indented JSON, atomically; a ValueError for NaN or infinity, which JSON lacks."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON in UTF-8, or with a mark of UTF-8, UTF-16 or UTF-32; a ValueError if it is none."""
    try:
        return json.loads(Path(path).read_bytes())
    except RecursionError as error:
        raise ValueError("too many brackets") from error


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """Read a YAML file that holds plain values."""
    import yaml

    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError("The file is no YAML.", where=path, cause=" ".join(str(error).split())) from error


def write_tsv(path: str | os.PathLike[str], table: pandas.DataFrame) -> None:
    """Write a table as BIDS has them, atomically: tabs, no quotation, ``n/a`` for missing values.

    Tabs and line breaks inside a cell become spaces.
    """
    texts = {name: table[name].map(_on_one_line) for name in table if table[name].dtype == object}
    with atomic_path(path) as temporary:
        table.assign(**texts).to_csv(
            temporary,
            sep="\t",
            index=False,
            na_rep=MISSING,
            lineterminator="\n",
            quoting=csv.QUOTE_NONE,
        )


def read_tsv(path: str | os.PathLike[str], text_columns: tuple[str, ...] = ()) -> pandas.DataFrame:
    """Read a tab-separated table, in which only ``n/a`` and empty cells are missing and nothing is quoted.

    Identifiers such as ``007`` stay text in the columns that are named.
    """
    import pandas

    try:
        return pandas.read_csv(
            path,
            sep="\t",
            na_values=[MISSING, ""],
            keep_default_na=False,
            dtype=dict.fromkeys(text_columns, str),
            quoting=csv.QUOTE_NONE,
        )
    except ValueError as error:  # of pandas' parser, and of text that is not UTF-8
        raise StudyError(
            "The table cannot be read.",
            where=path,
            cause=" ".join(str(error).split()),
            remedy="It must be tab-separated text in UTF-8, with as many cells in each row as in the first.",
        ) from error


def _on_one_line(cell: Any) -> Any:
    return " ".join(re.split(r"[\t\n\r]+", cell)) if isinstance(cell, str) else cell


def save_image(path: str | os.PathLike[str], image: nibabel.Nifti1Image) -> None:
    """Write a NIfTI image, atomically; its lengths are in mm."""
    import nibabel

    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nibabel.save(image, temporary)
