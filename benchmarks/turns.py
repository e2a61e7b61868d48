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
    commands: Mapping[str, Sequence[str]], repetitions: int, *, threads: int, verbose: bool = False
) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """Let the sides do their task in turn, once to warm up and then ``repetitions`` times.

    Parameters
    ----------
    commands : mapping of str to sequence of str
        The command line of each side; its process has to call `repeat`.
    repetitions : int
        The number of turns that count.
    threads : int
        The number of threads of the numerical libraries.
    verbose : bool
        Whether to show the messages of the processes.

    Returns
    -------
    measured : dict of str to list
        What each side answered in its turns.
    memory : dict of str to float
        The peak memory of each side, in MB of 1,000,000 bytes.
    """
    from rhvae_mri.errors import StudyError

    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    # Our package asks torch for large memory pages itself; the peer runs as it comes.
    environment = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
    workers = {
        side: subprocess.Popen(
            command,
            env=environment | counts | {"PYTHONPATH": ""},
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


def repeat(
    action: Callable[[], Mapping[str, float]], peak_memory: Callable[[], float] | None = None
) -> NoReturn:
    """Be one side: do something in each turn, answer what it gives; at the end the peak memory in bytes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is not an answer
    while sys.stdin.readline():
        print(json.dumps(action()), file=answers, flush=True)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(own if peak_memory is None else peak_memory()), file=answers, flush=True)
    os._exit(0)


class Clock:
    """Seconds since the start or the last call, on the wall and of the processor, children included."""

    def __init__(self, wait: Callable[[], None] | None = None) -> None:
        self._wait = wait
        self._last = self._now()

    def _now(self) -> tuple[float, float]:
        if self._wait is not None:
            self._wait()
        times = os.times()
        processor = time.process_time() + times.children_user + times.children_system
        return time.perf_counter(), processor

    def lap(self) -> tuple[float, float]:
        """Seconds of wall and of processor since the last call."""
        now = self._now()
        seconds = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        return seconds
