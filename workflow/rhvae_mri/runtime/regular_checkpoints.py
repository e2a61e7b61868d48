"""When a training loop saves its state: from time to time, when a signal asks it to stop, and at the end."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from rhvae_mri.runtime.checkpoints import TrainingState, restore_checkpoint, save_checkpoint
from rhvae_mri.runtime.interrupts import StopRequest, stop_request


class RegularCheckpoints:
    """The checkpoints of one training run; a context in which stop signals are caught.

    Without a file nothing is saved, and signals act as they do elsewhere; with 0 ``seconds`` between two
    checkpoints, each epoch ends with one.

    Examples
    --------
    >>> state = TrainingState(modules={}, optimizers={}, progress={"epoch": 0})
    >>> with RegularCheckpoints(None, digest="", seconds=60) as checkpoints:
    ...     checkpoints.restore(state)
    ...     while state.progress["epoch"] < 3:
    ...         state.progress["epoch"] += 1
    ...         checkpoints.after_epoch(state)
    False
    """

    def __init__(self, path: Path | None, digest: str, seconds: float) -> None:
        self.path = path
        self.digest = digest
        self.seconds = seconds
        self._stop = StopRequest()
        self._signals = ExitStack()
        self._saved_at = time.monotonic()

    def __enter__(self) -> RegularCheckpoints:
        if self.path is not None:
            self._stop = self._signals.enter_context(stop_request())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signals.close()

    def restore(self, state: TrainingState) -> bool:
        """Take up the run's checkpoint, if there is one; see `restore_checkpoint`."""
        return self.path is not None and restore_checkpoint(self.path, state, self.digest)

    def after_epoch(self, state: TrainingState, *, is_last: bool = False) -> None:
        """Save the state if it is time, if it is the last, or if a signal has come, and then stop."""
        if self.path is None:
            return
        # Asked once: a signal that comes while the state is written waits for the end of the next epoch.
        is_asked = self._stop.name is not None
        if is_asked or is_last or time.monotonic() - self._saved_at >= self.seconds:
            save_checkpoint(self.path, state, self.digest)
            self._saved_at = time.monotonic()
        if is_asked:
            self._stop.raise_if_asked(self.path)
