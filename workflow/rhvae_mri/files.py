"""Reading and writing of the study's small files; every write is atomic.

A file is written beside its target under a temporary name and moved into place when it is complete, so a
reader never sees half a file and an interrupted job leaves none. What a killed one leaves, the next removes.
"""

from __future__ import annotations

import csv
import glob
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhvae_mri.errors import StudyError

if TYPE_CHECKING:
    import nibabel
    import pandas

logger = logging.getLogger(__name__)

#: How BIDS writes a missing value in a table.
MISSING = "n/a"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` when the block ends without an error.

    Parameters
    ----------
    path : path
        Where the file is to be. Missing parent folders are made.

    Yields
    ------
    pathlib.Path
        A path in the same folder and with the same suffixes (readers such as nibabel go by them).
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
    """Remove what a process left that was killed while it wrote a file (see `atomic_path`).

    A checkpoint of the study's largest network takes tens of gigabytes. Only one process writes a file at a
    time: `rhvae_mri.logs.log_job` sees to that.
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


def reset_future_times(folder: str | os.PathLike[str]) -> int:
    """Give the present time to files whose time is in the future, as after a clock was set back.

    Snakemake refuses an output that is older than its input, so nothing could be made of such files until
    then. Less than a minute is left: clocks of a cluster differ by that much.

    Parameters
    ----------
    folder : path
        A folder, with all that is below it; it need not exist.

    Returns
    -------
    int
        The number of these files.
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
    """Write ``content`` as indented JSON, atomically.

    Raises
    ------
    ValueError
        If ``content`` holds a NaN or an infinite number, which JSON does not have.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file in UTF-8, or with a mark of UTF-8, UTF-16 or UTF-32.

    Raises
    ------
    ValueError
        If it is no JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except RecursionError as error:
        raise ValueError("too many brackets") from error


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """Read a YAML file that holds plain values.

    Raises
    ------
    StudyError
        If it is no YAML, or not in UTF-8.
    """
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
    """Read a tab-separated table.

    Parameters
    ----------
    path : path
        The table.
    text_columns : tuple of str
        Columns that stay text even if every cell looks like a number (identifiers such as ``007``).

    Returns
    -------
    pandas.DataFrame
        The table; ``n/a`` and empty cells are missing values, no other text is. There is no quotation.

    Raises
    ------
    StudyError
        If the file is no such table.
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
    """Put a text on one line without tabs."""
    return " ".join(re.split(r"[\t\n\r]+", cell)) if isinstance(cell, str) else cell


def save_image(path: str | os.PathLike[str], image: nibabel.Nifti1Image) -> None:
    """Write a NIfTI image, atomically; its lengths are in mm."""
    import nibabel

    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nibabel.save(image, temporary)
