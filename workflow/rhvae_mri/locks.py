"""A lock that lets one process at a time make the output of a job.

Snakemake locks its folder, but jobs outlive it: where the main process was killed, or the login node went
down, its jobs go on, on this machine or on the cluster. A new run starts the same jobs again, and both would
write the same files.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

logger = logging.getLogger(__name__)


@contextmanager
def only_process(path: str | os.PathLike[str], on_wait: Callable[[], None]) -> Iterator[None]:
    """Let no other process be in a block with the same ``path``; wait until one that is has left it or ended.

    It is a record lock of the operating system, which ends with its process, however that ends. File systems
    of clusters share it between nodes; where one has no locks, the block runs without.

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
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                logger.warning("%s: this file system has no locks (%s).", path, error)
                return file
            if not has_waited:
                on_wait()
                has_waited = True
            fcntl.lockf(file, fcntl.LOCK_EX)
        # who held the lock before has removed the file: the lock counts on the file that has the name now
        if _is_file_of(file, path):
            return file
        file.close()


def _is_file_of(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
