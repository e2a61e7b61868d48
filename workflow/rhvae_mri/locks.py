"""Locks of the operating system, which end with their process, however that ends.

Snakemake's own lock of its folder stays where the main process was killed, or the machine went down, and has
to be removed by hand; so the study takes one of these instead (`claim`).

Jobs outlive the main process: they go on, on this machine or on the cluster. A new run starts the same jobs
again, and both would write the same files, were it not for `only_process`.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rhvae_mri.errors import StudyError

logger = logging.getLogger(__name__)

#: The locks that this process keeps until its end.
_claimed: list[IO[bytes]] = []


def claim(path: str | os.PathLike[str]) -> None:
    """Take a lock until this process ends.

    Parameters
    ----------
    path : path
        The lock file. It is made where it is missing, says who holds the lock, and stays.

    Raises
    ------
    StudyError
        If another process holds the lock, or the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab+")  # noqa: SIM115 - it stays open as long as the lock is held
    except OSError as error:
        raise StudyError(
            "The folder of results cannot be written.",
            where=path.parent,
            cause=f"{error.strerror}.",
            remedy="Make room or get the permission, or set `pathvars: results:` to another folder.",
        ) from error
    if not _try_lock(file, path):
        file.seek(0)
        holder = file.read().decode(errors="replace").strip()
        file.close()
        raise StudyError(
            "Another run of the study works on these results.",
            where=path.parent,
            cause=f"It is {holder}." if holder else "It has just begun.",
            remedy="Wait for its end or stop it; then start the same command again.",
        )
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    file.flush()
    _claimed.append(file)


@contextmanager
def only_process(path: str | os.PathLike[str], on_wait: Callable[[], None]) -> Iterator[None]:
    """Let no other process be in a block with the same ``path``; wait until one that is has left it or ended.

    It is a record lock. File systems of clusters share it between nodes; where one has no locks, the block
    runs without.

    Parameters
    ----------
    path : path
        The lock file. It is made, and removed at the end; one that a killed process has left does no harm.
    on_wait : callable
        Called once, without arguments, before waiting.
    """
    path = Path(path)
    file = _acquire(path, on_wait)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _acquire(path: Path, on_wait: Callable[[], None]) -> IO[bytes]:
    has_waited = False
    while True:
        file = open(path, "ab")  # noqa: SIM115 - it stays open as long as the lock is held
        if not _try_lock(file, path):
            if not has_waited:
                on_wait()
                has_waited = True
            fcntl.lockf(file, fcntl.LOCK_EX)
        # who held the lock before has removed the file: the lock counts on the file that has the name now
        if _is_file_of(file, path):
            return file
        file.close()


def _try_lock(file: IO[bytes], path: Path) -> bool:
    """Lock a file if no other process has; also true where the file system has no locks."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        logger.warning("%s: this file system has no locks (%s).", path, error)
    return True


def _is_file_of(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
