"""What a run does now: few lines on the screen, and a file that `make status` shows at any time."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

from rhvae_mri.io.files import read_json, write_json

#: Seconds between two lines on the screen, if a percent more is done and if not; and between two states.
LINE_S, SILENCE_S, STATE_S = 10, 300, 1
#: Below the folder of results.
STATE = "logs/.progress.json"

#: What Snakemake tells of single jobs, by event or by text: its log has it, the screen has not.
_OF_JOBS = {"JOB_INFO", "JOB_STARTED", "JOB_FINISHED", "PROGRESS", "SHELLCMD", "GROUP_INFO"}
_OF_SCHEDULER = (
    "Select jobs to execute",
    "Execute ",
    "DAG of jobs will be updated",
    "Will exit after finishing",
)
#: The line of a traceback that names the error.
_ERROR = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*", re.MULTILINE)


class Progress(logging.Handler):
    """A handler of Snakemake's records that says how far a run is, what it does, and how long it takes.

    Parameters
    ----------
    workflow
        Snakemake's workflow, whose graph of jobs comes later and grows during a run.
    results
        The folder of results.
    """

    def __init__(self, workflow: Any, results: str | os.PathLike[str]) -> None:
        super().__init__(logging.INFO)
        self._workflow = workflow
        self._results = Path(results)
        self._begin = time.monotonic()
        self._running: dict[int, tuple[str, float]] = {}
        self._durations: dict[str, list[float]] = defaultdict(list)
        self._failed: list[dict[str, str]] = []
        self._done, self._jobs, self._is_stopped = 0, 1, False
        self._percent, self._told, self._written = -1, self._begin, self._begin

    def emit(self, record: logging.LogRecord) -> None:
        """Count the jobs that begin and end; now and then say so."""
        if self._is_stopped or self._workflow.dryrun:
            return
        if str(record.msg).startswith("Nothing to be done"):
            print(describe_results(self._results), file=sys.stderr)
        event, about, now = _event(record), record.__dict__, time.monotonic()
        if event == "JOB_INFO":
            self._running[about["jobid"]] = (about["rule_name"], now)
        elif event == "JOB_FINISHED" and about["job_id"] in self._running:
            rule, began = self._running.pop(about["job_id"])
            self._durations[rule].append(now - began)
        elif event == "JOB_ERROR":
            self._running.pop(about["jobid"], None)
            self._failed.append({"rule": about["rule_name"], "log": str(next(iter(about["log"]), ""))})
        elif event == "PROGRESS":
            self._done, self._jobs = about["done"], about["total"]
        if event in ("JOB_INFO", "JOB_ERROR"):
            # the graph may grow in another thread while it is counted: the next record counts it again
            with suppress(RuntimeError):
                self._tell(now)
                if now - self._written >= STATE_S:
                    self.write_state("running")

    def stop(self) -> None:
        """Say that the user stops the run; after that nothing that jobs or Snakemake say of it is shown."""
        self._is_stopped = True
        print("\nStopped. The same command goes on from here.", file=sys.stderr, flush=True)

    def is_for_the_screen(self, record: logging.LogRecord) -> bool:
        """Whether Snakemake shows a record, and does not only keep it in its log."""
        if self._is_stopped:
            return False
        is_of_jobs = _event(record) in _OF_JOBS or str(record.msg).startswith(_OF_SCHEDULER)
        shows_all = self._workflow.dryrun or self._workflow.output_settings.verbose
        return shows_all or record.levelno > logging.INFO or not is_of_jobs

    def write_state(self, state: str) -> None:
        """Write the file that `make status` shows; ``state`` is "running", "ended" or "failed"."""
        state = "stopped" if self._is_stopped else state
        self._written = time.monotonic()
        jobs, left = Counter(job.rule.name for job in self._workflow.dag.jobs), self._left()
        running = Counter(rule for rule, _ in self._running.values())
        rules = [
            {"rule": name, "jobs": jobs[name], "done": jobs[name] - left[name], "running": running[name]}
            for name in jobs
        ]
        process = {"state": state, "time": time.time(), "process": os.getpid(), "host": os.uname().nodename}
        left_in_words = _time_in_words(*self._time_left())
        with suppress(OSError):  # of a disk that is full: the jobs say so, and the run does not end for this
            write_json(
                self._results / STATE,
                {**process, "left": left_in_words, "rules": rules, "failed": self._failed},
            )

    def _left(self) -> Counter[str]:
        dag = self._workflow.dag
        return Counter(job.rule.name for job in dag.needrun_jobs() if not dag.finished(job))

    def _time_left(self) -> tuple[float, bool]:
        """Give the seconds that the jobs left take, and whether all rules with several of them are known."""
        spent = sum(map(sum, self._durations.values()))
        at_once = max(1.0, spent / max(time.monotonic() - self._begin, 1.0))
        mean = {rule: sum(each) / len(each) for rule, each in self._durations.items()}
        left = self._left()
        is_whole = all(rule in mean or n == 1 for rule, n in left.items())
        return sum(n * mean.get(rule, 0.0) for rule, n in left.items()) / at_once, is_whole

    def _tell(self, now: float) -> None:
        percent, since = 100 * self._done // self._jobs, now - self._told
        if since < LINE_S or (percent == self._percent and since < SILENCE_S):
            return
        self._percent, self._told = percent, now
        running = Counter(rule for rule, _ in self._running.values())
        parts = [
            f"{self._done} of {self._jobs} jobs done ({percent} %)",
            f"{len(self._failed)} failed" if self._failed else "",
            _time_in_words(*self._time_left()),
            ", ".join(rule if n == 1 else f"{n} {rule}" for rule, n in running.items()),
        ]
        print(time.strftime("%H:%M:%S ") + "; ".join(filter(None, parts)), file=sys.stderr, flush=True)


def show_progress(logger: logging.Logger, progress: Progress) -> None:
    """Put a line now and then in the place of Snakemake's several lines for each job, which its log keeps."""
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.addFilter(progress.is_for_the_screen)
    logger.addHandler(progress)


def describe_status(results: str | os.PathLike[str]) -> str:
    """Say what the last run does or did: how many jobs of each rule are done, run and failed; time left."""
    file = Path(results, STATE)
    if not file.is_file():
        return f"No run has begun in {results}."
    state = read_json(file)
    failed = Counter(each["rule"] for each in state["failed"])
    lines = [_in_words(state), "", f"{'rule':<24}{'jobs':>7}{'done':>7}{'running':>9}{'failed':>8}"]
    for each in state["rules"]:
        rule = each["rule"]
        if each["done"] or each["running"] or failed[rule]:
            lines.append(f"{rule:<24}{each['jobs']:>7}{each['done']:>7}{each['running']:>9}{failed[rule]:>8}")
    for each in state["failed"]:
        log = Path(each["log"])
        errors = _ERROR.findall(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else []
        lines += [
            "",
            f"{each['rule']} failed: {errors[-1] if errors else 'its log says no more'}",
            f"  log: {log}",
        ]
    return "\n".join(lines)


def describe_results(results: str | os.PathLike[str]) -> str:
    """Say where to begin to read in the folder of results."""
    index = Path(results, "index.html")
    if index.is_file():
        return f"Results: open {index}, which leads to all tables, figures and pages."
    audits = sorted(Path(results).glob("audit/cohort-*/index.html"))
    if audits:
        return "Audit: open " + ", ".join(map(str, audits))
    return f"Results are in {results}."


def _in_words(state: dict[str, Any]) -> str:
    done, jobs = (sum(each[name] for each in state["rules"]) for name in ("done", "jobs"))
    is_gone = state["host"] == os.uname().nodename and not Path("/proc", str(state["process"])).exists()
    if state["state"] == "ended":
        verb = "has ended"
    elif state["state"] == "failed":
        verb = "has ended with errors"
    elif state["state"] == "stopped" or is_gone:
        verb = "was stopped, and the same command goes on from there"
    else:
        verb = f"goes on, {state['left'] or 'and has just begun'}"
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state["time"]))
    return f"{at}: the run {verb}; {done} of {jobs} jobs are done."


def _time_in_words(seconds: float, is_whole: bool) -> str:
    if not seconds:
        return ""
    minutes = max(1, round(seconds / 60))
    duration = f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
    return f"{'about' if is_whole else 'more than'} {duration} left"


def _event(record: logging.LogRecord) -> str:
    return str(getattr(getattr(record, "event", None), "name", ""))


if __name__ == "__main__":
    print(describe_status(sys.argv[1]))
