"""Folders that are complete or absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty sibling folder that becomes ``path`` when the block ends without an error.

    The sibling's name is always the same, so what a killed job left behind is removed by the next one.

    Parameters
    ----------
    path : path
        Where the folder is to be; a folder that is there already is replaced.

    Yields
    ------
    pathlib.Path
        The empty folder ``.<name>.partial`` beside ``path``.
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
