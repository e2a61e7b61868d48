"""Disturb a small study again and again, go on with the same command, and compare what comes out.

A study runs, a fault is injected while a job of a drawn rule runs, the same command goes on, the next fault
is injected, and so on to the last. Then the command has to end well, with every table and array those of an
undisturbed run, and a further command has to find nothing to do. Faults, rules and delays are drawn from a
seed.

    python benchmarks/faults.py --faults 60 --seed 1 --json
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fault_kinds import KINDS, mount_small_disk, unmount
from fault_study import Study
from reporting import Bar, StudyError, describe_machine, finish, run_benchmark

#: How many faults one study meets, at most.
PER_STUDY = 12
#: A kind of fault, and the rules of which the first job that begins meets it.
Fault = tuple[str, tuple[str, ...]]


def plan(order: list[str], kinds: list[str], dice: random.Random) -> list[Fault]:
    """Draw a rule for each kind of fault, and put the faults in the order of the study.

    Parameters
    ----------
    order : list of str
        The rules of an undisturbed run, in the order in which jobs began.
    kinds : list of str
        The kinds of the faults.
    dice : random.Random
        The generator.

    Returns
    -------
    list of (str, tuple of str)
        Kind of each fault, and the drawn rule with those whose last job begins later: where the drawn rule
        has no jobs left, the fault meets one of these.
    """
    last = {rule: index for index, rule in enumerate(order) if rule != "tables"}
    drawn = [(kind, dice.choice(KINDS[kind].rules or sorted(last))) for kind in kinds]
    drawn.sort(key=lambda fault: last[fault[1]])
    return [
        (kind, tuple(one for one in KINDS[kind].rules or last if last[one] >= last[rule]))
        for kind, rule in drawn
    ]


def disturb(study: Study, faults: list[Fault], dice: random.Random) -> list[dict[str, Any]]:
    """Inject faults one after the other, each into the same command started anew.

    Returns
    -------
    list of dict
        Kind, rule and what was seen of each fault that could be injected; the others found no job any more.
    """
    injected = []
    run = study.start()
    for kind, rules in faults:
        for _ in range(2):  # a run with a failed job may end before a job of these rules can begin
            if not run.is_running:
                run = study.start()
            if rule := run.wait_for(rules):
                break
            run.wait()
        seen = rule and KINDS[kind].inject(study, run, rule, dice)
        if seen:
            injected.append({"kind": kind, "rule": rule, "seen": seen})
            print(f"  {kind} in {rule}: {seen}", flush=True)
    if run.is_running:
        run.wait()
    return injected


def complete(study: Study, reference: dict[str, str], ahead: bool) -> dict[str, Any]:
    """Give the command once more, and say how the results differ from those of the undisturbed study.

    Parameters
    ----------
    study : Study
        The disturbed one.
    reference : dict of str to str
        Digests of the undisturbed one.
    ahead : bool
        Whether files have times in the future; what was made of them is made again until then.
    """
    run = study.start()
    status = run.wait()
    digests = study.digests()
    both = reference.keys() & digests.keys()
    again = study.start()
    idle = again.wait() == 0 and (ahead or "Nothing to be done" in again.output)
    problems = {
        "status": status,
        "lost": sorted(reference.keys() - digests.keys()),
        "wrong": sorted(name for name in both if reference[name] != digests[name]),
        "surplus": sorted(digests.keys() - reference.keys()),
        "unfinished": study.unfinished(),
        "not idle": not idle,
    }
    if any(problems.values()):
        print(run.output if status else again.output, flush=True)
        print(json.dumps(problems, indent=1), flush=True)
    return problems


def inject_all(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Inject a number of faults into as many studies as it takes.

    Parameters
    ----------
    folder : pathlib.Path
        An empty folder.
    count : int
        The number of faults.
    seed : int
        Of the faults, rules and delays.

    Returns
    -------
    dict
        ``injected``: the list of `disturb`; ``studies``: the problems of each study (see `complete`);
        ``skipped``: kinds that this machine does not allow.
    """
    dice = random.Random(seed)
    undisturbed = Study(folder / "undisturbed")
    run = undisturbed.start()
    if run.wait():
        raise StudyError("The undisturbed study failed.", cause=run.output[-2000:])
    reference, order = undisturbed.digests(), list(run.started)
    injected: list[dict[str, Any]] = []
    studies: list[dict[str, Any]] = []
    with ExitStack() as stack:
        probe = folder / "probe"
        can_mount = mount_small_disk(probe)
        if can_mount:
            unmount(probe)
        allowed = [name for name, kind in KINDS.items() if can_mount or not kind.needs_mount]
        upcoming: list[str] = []
        while len(injected) < count:
            while len(upcoming) < PER_STUDY:  # every kind as often as every other
                upcoming += dice.sample(allowed, len(allowed))
            size = min(PER_STUDY, count - len(injected))
            kinds, upcoming = upcoming[:size], upcoming[size:]
            study = Study(folder / f"study-{len(studies)}")
            if can_mount:
                mount_small_disk(study.folder)
                stack.callback(unmount, study.folder)
            print(f"study {len(studies)}", flush=True)
            faults = disturb(study, plan(order, kinds, dice), dice)
            injected += faults
            ahead = any(fault["kind"] == "times in the future" for fault in faults)
            studies.append(complete(study, reference, ahead))
    return {
        "injected": injected,
        "studies": studies,
        "skipped": [name for name in KINDS if name not in allowed],
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print figures and bars as the last line")
    parser.add_argument("--faults", type=int, default=60, help="number of faults (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of faults, rules and delays (default: 1)")
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        outcome = inject_all(Path(temporary), arguments.faults, arguments.seed)
    counts = Counter(fault["kind"] for fault in outcome["injected"])
    for kind in KINDS:
        print(f"{kind}: {counts[kind] if kind not in outcome['skipped'] else 'SKIPPED, needs root'}")
    figures = {
        "machine": describe_machine("snakemake"),
        "seed": arguments.seed,
        "studies": len(outcome["studies"]),
        "minutes": (time.monotonic() - start) / 60,
        "faults": dict(counts),
        "skipped": outcome["skipped"],
        "list": outcome["injected"],
    }
    studies = outcome["studies"]
    bars = [
        Bar("faults injected", len(outcome["injected"]), arguments.faults, ">="),
        Bar("studies that did not end well", sum(one["status"] != 0 for one in studies), 0, "<="),
        Bar("results lost", sum(len(one["lost"]) for one in studies), 0, "<="),
        Bar("results wrong", sum(len(one["wrong"]) for one in studies), 0, "<="),
        Bar("files left over", sum(len(one["surplus"] + one["unfinished"]) for one in studies), 0, "<="),
        Bar("studies that were not done after that", sum(one["not idle"] for one in studies), 0, "<="),
    ]
    return finish(figures, bars, arguments.json)


if __name__ == "__main__":
    run_benchmark(main)
