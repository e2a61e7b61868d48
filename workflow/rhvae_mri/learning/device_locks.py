"""Locks that give each process of a user a GPU of its own, where several may run at a time on one machine.

A lock is a record lock of the operating system on a small file. It ends with the process that holds it,
however that ends, and no other process inherits it; so no lock is ever left behind, and the files stay.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import stat
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from rhvae_mri.errors import StudyError

logger = logging.getLogger(__name__)

#: Seconds between two looks for a free device.
_PAUSE = 2.0

#: Seconds after which a job that waits says so again.
_REMINDER = 600.0

#: The locks of this process. It keeps the files open: closing one would end its lock.
_held: dict[str, IO[bytes]] = {}


def lock_folder() -> Path:
    """Return the folder of the locks, which belongs to this user alone; it is made if need be.

    It lies in ``$XDG_RUNTIME_DIR``, or else in the folder of temporary files: both are on the machine's own
    disk and the same for all of the user's jobs there.

    Raises
    ------
    StudyError
        If what is in its place is no folder of this user.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.access(runtime, os.W_OK):
        folder = Path(runtime, "rhvae-mri")
    else:
        # not TMPDIR, which cluster jobs have one each of
        folder = Path("/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir())
        folder = folder / f"rhvae-mri-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = os.lstat(folder)
    # in a folder that all may write to, another user could have put a link there
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StudyError(
            "The folder for the locks of GPUs is not this user's.",
            where=folder,
            remedy="Remove it, or set XDG_RUNTIME_DIR to a folder of your own.",
        )
    return folder


def acquire_device(names: Sequence[str], pause: float = _PAUSE) -> int:
    """Wait until one of several devices is free, and lock it for the rest of this process.

    Parameters
    ----------
    names : sequence of str
        What names each device, whichever process looks at it; a GPU's UUID does.
    pause : float
        Seconds between two looks.

    Returns
    -------
    int
        The device's place in ``names``. A process that holds one of them already gets the same one again.
    """
    for place, name in enumerate(names):
        if name in _held:
            return place
    folder = lock_folder()
    started, reminded = time.monotonic(), None
    while True:
        for place, name in enumerate(names):
            if _try_lock(folder, name):
                return place
        now = time.monotonic()
        if reminded is None or now - reminded >= _REMINDER:
            logger.info(
                "All %d GPU(s) are taken by other jobs of this user; waiting for %.0f s so far. Fewer jobs "
                "at a time (`--resources gpu=%d`) would wait in the queue instead.",
                len(names),
                now - started,
                len(names),
            )
            reminded = now
        time.sleep(pause)


def _try_lock(folder: Path, name: str) -> bool:
    """Lock a device, if no other process has."""
    path = folder / f"{re.sub('[^A-Za-z0-9-]', '_', name)}.lock"
    file = open(path, "ab", buffering=0)  # noqa: SIM115 - it stays open as long as the process runs
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.close()
        return False
    _held[name] = file
    return True
