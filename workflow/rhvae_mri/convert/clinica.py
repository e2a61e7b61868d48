"""Running Clinica's command line as a subprocess."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from rhvae_mri.io.errors import StudyError

_LINES_SHOWN = 12

#: Clinica colours its messages even in a file.
_COLOUR = re.compile(r"\x1b\[\d*m")


class ClinicaRun(NamedTuple):
    """A finished run: its arguments, exit code and what it printed, line by line."""

    arguments: tuple[str, ...]
    exit_code: int
    lines: list[str]

    def error(self) -> StudyError:
        """Return what to raise for a run that failed."""
        last = "\n".join(f"    {line}" for line in self.lines[-_LINES_SHOWN:])
        return StudyError(
            f"Clinica stopped with exit code {self.exit_code}. Its last words:\n{last}",
            where=f"clinica {' '.join(self.arguments)}",
            remedy="Read Clinica's messages in this job's log; mend or remove what they name; start again.",
        )


def run_clinica(arguments: Sequence[str | os.PathLike[str]], log_folder: Path) -> ClinicaRun:
    """Run a Clinica command, from the main thread; what it prints goes to standard output at once."""
    log_folder.mkdir(parents=True, exist_ok=True)
    # Of dcm2niix, pip's command starts Python for each image, the binary inside the package does not. A conda
    # environment has it beside the interpreter.
    package = importlib.util.find_spec("dcm2niix")
    folders = [*((package and package.submodule_search_locations) or ()), str(Path(sys.executable).parent)]
    environment = os.environ | {
        "PATH": os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)]),
        "CLINICA_LOGGING_DIR": str(log_folder.resolve()),
        "PYTHONUNBUFFERED": "1",
    }
    words = tuple(os.fspath(word) for word in arguments)
    lines = []
    with (
        subprocess.Popen(
            [sys.executable, "-m", "clinica.cmdline", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process,
        _ended_with_us(process),
    ):
        for line in process.stdout or ():  # a pipe, never None
            lines.append(_COLOUR.sub("", line.rstrip()))
            print(lines[-1], flush=True)
    return ClinicaRun(words, process.returncode, lines)


@contextmanager
def _ended_with_us(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process and its children when the block is left by an interrupt, a termination or an error."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt("terminated")

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except BaseException:
        # Its worker processes would go on if it alone were ended.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
