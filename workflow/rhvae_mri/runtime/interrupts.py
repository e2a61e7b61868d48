"""Requests to stop: a signal sets a flag, the training loop saves its state and ends."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rhvae_mri.io.errors import StudyError

logger = logging.getLogger(__name__)

#: Ctrl-C, the termination that schedulers send, and the warning that Slurm sends before a time limit.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class TrainingInterrupted(StudyError):
    """Training stopped on request after it had saved its state."""


class StopRequest:
    """Whether a signal has asked the training loop to stop: its name, or None as long as none has come."""

    def __init__(self) -> None:
        self.name: str | None = None

    def raise_if_asked(self, checkpoint: object) -> None:
        """Raise `TrainingInterrupted` if a signal has come; call it after a checkpoint is written."""
        if self.name is not None:
            raise TrainingInterrupted(
                f"Training stopped by {self.name}; its state is saved.",
                where=str(checkpoint),
                remedy="Start the same command again: training goes on from there.",
            )


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Catch the stop signals for the duration of the block (in the main thread only)."""
    request = StopRequest()

    def remember(number: int, frame: FrameType | None) -> None:
        request.name = signal.Signals(number).name
        logger.warning("%s received: stopping after this epoch.", request.name)

    previous = {number: signal.signal(number, remember) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
