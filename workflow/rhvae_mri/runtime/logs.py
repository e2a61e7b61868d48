"""The log of one job: everything that it prints, native libraries included, goes to one file."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.texts import visible
from rhvae_mri.runtime.locks import only_process
from rhvae_mri.runtime.machine import MACHINES, record_machine

logger = logging.getLogger(__name__)


@contextmanager
def log_job(path: str | os.PathLike[str]) -> Iterator[None]:
    """Send standard output, standard error and `logging` to a new log file for the duration of the block.

    It redirects file descriptors, because ANTs and dcm2niix print from native code. When the block fails, the
    traceback goes to the log and the error alone to the terminal. Where the same job of an earlier run still
    runs, its end is waited for, and then the job is done again. The last line names the machine that the job
    computed on (see `rhvae_mri.runtime.machine`).
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)

    def say_waiting() -> None:
        print(f"Waiting for the same job of an earlier run, which still runs ({target}).", file=sys.stderr)

    with only_process(target.with_name(f".{target.name}.lock"), say_waiting), _redirected(target):
        yield
        _name_machine(target)


def _name_machine(log: Path) -> None:
    # at the end: threads are set then, and what computes is imported
    try:
        name = record_machine(log)
    except OSError as error:  # the results are complete without the record
        logger.warning("The machine could not be recorded: %s", error)
    else:
        if name:
            logger.info("Computed on the machine %s, see %s.", name, MACHINES)


@contextmanager
def _redirected(target: Path) -> Iterator[None]:
    sys.stdout.flush()
    sys.stderr.flush()
    terminal = os.dup(2)
    saved_output = os.dup(1)
    with open(target, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    try:
        yield
    except BaseException as error:
        with suppress(OSError):  # of a disk that is full, above all
            traceback.print_exc()
        _say(terminal, error, target)
        raise SystemExit(1) from None
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os.dup2(saved_output, 1)
        os.dup2(terminal, 2)
        os.close(saved_output)
        os.close(terminal)


def _say(terminal: int, error: BaseException, log: Path) -> None:
    """Write the error, without its traceback, to the terminal that was there before the redirection."""
    if isinstance(error, StudyError):
        text = str(error)
    else:
        text = "\n".join(map(visible, f"{type(error).__name__}: {error}".split("\n")))
    os.write(terminal, f"{text}\n  full log:     {log}\n".encode())


@contextmanager
def keep_beside_log(log: str | os.PathLike[str], *tables: str | os.PathLike[str]) -> Iterator[None]:
    """Copy tables to the log's folder when the block fails: Snakemake removes the outputs of such a job."""
    try:
        yield
    except StudyError:
        for table in map(Path, tables):
            if table.is_file():
                copy = Path(log).with_suffix(f".{table.name}")
                shutil.copyfile(table, copy)
                logger.info("What was found so far: %s", copy)
        raise
