"""Running Clinica's command line as a subprocess."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rhvae_mri.errors import StudyError

_LINES_SHOWN = 12

#: Clinica colours its messages even in a file.
_COLOUR = re.compile(r"\x1b\[\d*m")


@dataclass(frozen=True)
class ClinicaRun:
    """A finished run: its arguments, exit code and what it printed, line by line."""

    arguments: tuple[str, ...]
    exit_code: int
    lines: list[str]

    def error(self, remedy: str) -> StudyError:
        """Return what to raise for a run that failed."""
        last = "\n".join(f"    {line}" for line in self.lines[-_LINES_SHOWN:])
        return StudyError(
            f"Clinica stopped with exit code {self.exit_code}. Its last words:\n{last}",
            where=f"clinica {' '.join(self.arguments)}",
            remedy=remedy,
        )


def run_clinica(arguments: Sequence[str | os.PathLike[str]], log_folder: Path) -> ClinicaRun:
    """Run a Clinica command; what it prints goes to standard output at once.

    Parameters
    ----------
    arguments : sequence of str or path
        What follows ``clinica`` on the command line.
    log_folder : path
        Where Clinica writes its log files, which would otherwise go to the working directory.

    Returns
    -------
    ClinicaRun
        Also of a run that failed.
    """
    log_folder.mkdir(parents=True, exist_ok=True)
    # dcm2niix lies beside the interpreter, whose folder is not on the PATH of every job
    tools = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": os.pathsep.join([tools, os.environ.get("PATH", os.defpath)]),
        "CLINICA_LOGGING_DIR": str(log_folder.resolve()),
        "PYTHONUNBUFFERED": "1",
    }
    words = tuple(os.fspath(word) for word in arguments)
    lines = []
    with subprocess.Popen(
        [sys.executable, "-m", "clinica.cmdline", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout:
                lines.append(_COLOUR.sub("", line.rstrip()))
                print(lines[-1], flush=True)
        except BaseException:
            # An interrupt, unlike a termination, lets Clinica end its own worker processes.
            process.send_signal(signal.SIGINT)
            raise
    return ClinicaRun(words, process.returncode, lines)
