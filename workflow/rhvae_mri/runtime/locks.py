"""Locks of the operating system, which end with their process, however that ends.

Snakemake's own lock of its folder stays where the main process was killed, or the machine went down, and has
to be removed by hand; so the study takes one of these instead (`claim`). Jobs outlive the main process, on
this machine or on the cluster. A new run starts the same jobs again, and both would write the same files,
were it not for `only_process`. Of several jobs on one machine each gets a GPU of its own (`acquire_device`).
"""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rhvae_mri.io.errors import StudyError

logger = logging.getLogger(__name__)

#: Seconds between two looks at a lock that another process has.
_PAUSE = 2.0

#: Seconds after which a job that waits for a device says so again.
_REMINDER = 600.0

#: How a file system answers that has no locks.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)

#: The locks that this process keeps until its end, by path or by the name of the device.
_held: dict[str, FileLock] = {}


def claim(path: str | os.PathLike[str]) -> None:
    """Take a lock until this process ends; an error names the process that has it, which the file says."""
    path = Path(path)
    holder = f"process {os.getpid()} on {socket.gethostname()}\n".encode()

    def write_holder(descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, holder)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _try_lock(path, write_holder)
        other = path.read_text(errors="replace").strip()
    except OSError as error:
        raise StudyError(
            "The folder of results cannot be written.",
            where=path.parent,
            cause=f"{error.strerror}.",
            remedy="Make room or get the permission, or set `pathvars: results:` to another folder.",
        ) from error
    if lock is None:
        raise StudyError(
            "Another run of the study works on these results.",
            where=path.parent,
            cause=f"It is {other}." if other else "It has just begun.",
            remedy="Wait for its end or stop it; then start the same command again.",
        )
    _held[str(path)] = lock


@contextmanager
def only_process(path: str | os.PathLike[str], on_wait: Callable[[], None]) -> Iterator[None]:
    """Let no other process be in a block with the same lock file; call ``on_wait`` before waiting for one.

    File systems of clusters share the lock between nodes; where one has no locks, the block runs without. The
    file is removed at the end; one that a killed process has left does no harm.
    """
    path = Path(path)
    lock = _try_lock(path)
    if lock is None:
        on_wait()
        while (lock := _try_lock(path)) is None:
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def lock_folder() -> Path:
    """Return the folder of the devices' locks, which belongs to this user alone; it is made if need be.

    It lies in ``$XDG_RUNTIME_DIR``, or else in the folder of temporary files: both are on the machine's own
    disk and the same for all of the user's jobs there.
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


def acquire_device(names: Sequence[str]) -> int:
    """Wait until one of several devices is free, lock it until this process ends, and return its place.

    The names are what any process calls a device: a GPU's UUID. A process that has one gets the same again.
    """
    for place, name in enumerate(names):
        if name in _held:
            return place
    folder = lock_folder()
    started = reminded = time.monotonic()
    while True:
        for place, name in enumerate(names):
            lock = _try_lock(folder / f"{re.sub('[^A-Za-z0-9-]', '_', name)}.lock")
            if lock is not None:
                _held[name] = lock
                return place
        now = time.monotonic()
        if reminded == started or now - reminded >= _REMINDER:
            logger.info(
                "All %d GPU(s) are taken by other jobs of this user; waiting for %.0f s so far. Fewer jobs "
                "at a time (`--resources gpu=%d`) would wait in the queue instead.",
                *(len(names), now - started, len(names)),
            )
            reminded = now
        time.sleep(_PAUSE)


def _try_lock(path: Path, on_acquired: Callable[[int], None] | None = None) -> FileLock | None:
    """Lock a file if no other process has; where the file system has no locks, do as if it were locked."""
    lock = FileLock(
        path,
        thread_local=False,
        fallback_to_soft=False,  # a lock that is only a file would outlive a killed process
        preserve_lock_file=True,
        on_acquired=on_acquired,
    )
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        logger.warning("%s: this file system has no locks (%s).", path, error)
    return lock
