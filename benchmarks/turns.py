"""Two sides of a comparison in processes of their own, which take turns: one of ours, one of the peer's.

Other load on the machine so meets both. The module needs the standard library alone, as the peer's process
runs in an environment of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NoReturn


def take_turns(
    commands: Mapping[str, Sequence[str]],
    repetitions: int,
    *,
    threads: int,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    verbose: bool = False,
) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """Let the sides do their task in turn, once to warm up and then ``repetitions`` times.

    Parameters
    ----------
    commands : mapping of str to sequence of str
        The command line of each side; its process has to take its turns as `Turns` does.
    repetitions : int
        The number of turns that count.
    threads : int
        The number of threads of the numerical libraries.
    settings : mapping of str to mapping, optional
        Environment variables of a side.
    verbose : bool
        Whether to show the messages of the processes.

    Returns
    -------
    measured : dict of str to list
        What each side answered in its turns.
    memory : dict of str to float
        The peak memory of each side, in MB of 1,000,000 bytes.
    """
    from rhvae_mri.io.errors import StudyError

    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    # Our package asks torch for large memory pages itself; the peer runs as it comes.
    environment = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
    workers = {
        side: subprocess.Popen(
            command,
            env=environment | counts | {"PYTHONPATH": ""} | dict((settings or {}).get(side, {})),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.DEVNULL,
            text=True,
        )
        for side, command in commands.items()
    }

    def answer(side: str) -> Any:
        line = workers[side].stdout.readline()
        if not line:
            raise StudyError(f"The process of {side} ended early.", cause="See its messages with --verbose.")
        return json.loads(line)

    measured: dict[str, list[Any]] = {side: [] for side in workers}
    try:
        for turn in range(repetitions + 1):
            for side, worker in workers.items():
                worker.stdin.write("\n")
                worker.stdin.flush()
                value = answer(side)
                if turn:
                    measured[side].append(value)
        for worker in workers.values():
            worker.stdin.close()
        memory = {side: answer(side) / 1e6 for side in workers}
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    return measured, memory


def medians(turns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Medians over the turns of each number that they give."""
    return {kind: median(turn[kind] for turn in turns) for kind in turns[0]}


class Turns:
    """The end of the pipe in the process of one side: it waits for its turn, and answers what it did.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        The device whose peak memory is the last answer.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what the libraries print is not an answer

    def wait(self) -> None:
        """Wait for the next turn; where there is none, answer the peak memory in bytes and end."""
        if sys.stdin.readline():
            return
        if self._device == "cuda":
            import torch

            memory = torch.cuda.max_memory_allocated()
        else:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.answer(memory)
        os._exit(0)  # also from within a training that has not ended

    def answer(self, value: Any) -> None:
        """Give the result of the turn."""
        print(json.dumps(value), file=self._answers, flush=True)

    def repeat(self, action: Callable[[], Any]) -> NoReturn:
        """Do something in each turn, and answer what it gives."""
        while True:
            self.wait()
            self.answer(action())


class Clock:
    """Seconds since the start or the last call, on the wall and of the processor, children included.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        What has to have finished before the clock is read.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._last = self._now()

    def _now(self) -> tuple[float, float]:
        if self._device == "cuda":
            import torch

            torch.cuda.synchronize()
        times = os.times()
        processor = time.process_time() + times.children_user + times.children_system
        return time.perf_counter(), processor

    def lap(self) -> tuple[float, float]:
        """Seconds of wall and of processor since the last call."""
        now = self._now()
        seconds = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        return seconds

    def times(self) -> dict[str, float]:
        """The same by name."""
        wall, processor = self.lap()
        return {"wall": wall, "processor": processor}
