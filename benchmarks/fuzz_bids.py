"""Change one thing of a good BIDS dataset at random, and see that nothing happens in silence.

Each seed draws one change of a dataset of 12 participants: of a cell, a row, a header, a name, an
orientation, intensities, an image that two have, an encoding. The change itself says what has to come: the
right table of images, a listed exclusion or cell, or a refusal that names file and place. All else is a
silent fault, or a traceback. With ``--images`` the changed images go through N4, registration and the quality
check too.

    PYTHONPATH=workflow:tests python benchmarks/fuzz_bids.py --seeds 500 --images --json
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas
from fuzz_cells import CELL
from fuzz_columns import ENCODING, HEADER
from fuzz_dataset import Change, Files, Outcome, Row, good_dataset, good_rows
from fuzz_files import DUPLICATE, NAME
from fuzz_images import INTENSITY, ORIENTATION
from fuzz_laboratory import Laboratory
from fuzz_tables import ROW
from reporting import Bar, describe_machine, finish, run_benchmark

from rhvae_mri.cohort.images import list_images, read_images
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.io.input_folders import bids_digest, check_fetched

KINDS = {
    "cell": CELL,
    "row": ROW,
    "header": HEADER,
    "name": NAME,
    "duplicate": DUPLICATE,
    "encoding": ENCODING,
    "orientation": ORIENTATION,
    "intensity": INTENSITY,
}
FATES = ("right table", "listed", "refused", "silent", "traceback")
COMPARED = ("participant_id", "session_id", "age", "sex", "site", "field_strength", "diagnosis", "mmse")
#: What a refusal of a table has to name beside the file.
PLACE = r"[Ll]ine \d+|column|sub-[A-Za-z0-9]+|participant_id|[a-z_]+: \d+ of \d+ participants|annexed"


@dataclass(frozen=True)
class Result:
    """What became of a change: one of `FATES`, and in words what is wrong."""

    seed: int
    kind: str
    what: str
    fate: str
    problem: str = ""


def draw_change(seed: int, files: Files, kinds: tuple[str, ...] = tuple(KINDS)) -> tuple[str, Change]:
    """Draw a change of the good dataset: kind, and one of the kind's functions."""
    dice = random.Random(seed)
    kind = kinds[seed % len(kinds)]
    return kind, dice.choice(KINDS[kind])(dict(files), dice)


def write_files(folder: Path, files: Files) -> Path:
    """Write a dataset."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        elif isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
    return folder


def list_dataset(bids: Path) -> tuple[dict[str, Row], set[tuple[str, str]]]:
    """Read a dataset as the workflow does; give the rows by path, and (variable, participant) as listed."""
    target, values = bids.parent / "images.tsv", bids.parent / "values.tsv"
    bids_digest(bids)
    check_fetched("X", bids)
    list_images("X", bids, None, None, target, values=values, contents=bids.parent / "contents.tsv")
    rows: dict[str, Row] = {}
    for row in read_images(target).astype(object).replace({float("nan"): None}).to_dict("records"):
        key = f"{row['participant_id']} {row['session_id'] or ''}"
        rows[os.path.relpath(row["path"], bids) if row["path"] else key] = row
    listed = read_tsv(values, ("value", "participants"))
    names = listed["participants"].fillna("").str.split(" ")
    return rows, {
        (variable, who) for variable, group in zip(listed["variable"], names, strict=True) for who in group
    }


def differences(rows: dict[str, Row], listed: set[tuple[str, str]], outcome: Outcome) -> list[str]:
    """Say in what a table of images and the list of values differ from an outcome."""
    good = good_rows()
    wanted = {path: row for path, row in good.items() if outcome.rows.get(path, row) is not None}
    wanted |= {path: {**good.get(path, {}), **row} for path, row in outcome.rows.items() if row is not None}
    found = [f"no row {path}" for path in wanted.keys() - rows.keys()]
    found += [f"row {path} ({rows[path]['reason']})" for path in rows.keys() - wanted.keys()]
    for path in wanted.keys() & rows.keys():
        got, want, changed = rows[path], wanted[path], outcome.rows.get(path) or {}
        may_lack = got["status"] == "excluded" and changed.get("status") == "excluded"
        for name in COMPARED:
            if (
                name in want
                and not _equal(got[name], want[name])
                and not (may_lack and _loose(got[name], name, changed))
            ):
                found.append(f"{path}: {name} {got[name]!r}, not {want[name]!r}")
        if got["status"] != want["status"]:
            found.append(f"{path}: {got['status']} ({got['reason']}), not {want['status']}")
        elif want["reason"] is not None and not re.search(str(want["reason"]), str(got["reason"]), re.DOTALL):
            found.append(f"{path}: {got['reason']!r}, not {want['reason']!r}")
    found += [f"not listed: {one}" for one in outcome.listed - listed if (one[0], "") not in listed]
    expected = outcome.listed | outcome.maybe_listed | {(variable, "") for variable, _ in outcome.listed}
    return found + [f"listed: {one}" for one in listed - expected]


def _equal(got: object, want: object) -> bool:
    """Compare two cells, as numbers where both are."""
    if got is None or want is None:
        return got is want
    try:
        return abs(float(str(got)) - float(str(want))) < 1e-4 * max(1, abs(float(str(want))))
    except ValueError:
        return str(got) == str(want)


def _loose(got: object, name: str, changed: Any) -> bool:
    """Say whether a cell of an excluded row may differ: it is missing, or the change does not say."""
    return got is None or (name == "diagnosis" and name not in changed)


def refusal_fault(error: StudyError, outcome: Outcome) -> str:
    """Say what a refusal lacks; empty if it is a clear one, and the one that has to come."""
    text = str(error)
    if not outcome.refused:
        return f"refused: {text}"
    if not re.search(outcome.refused, text, re.DOTALL):
        return f"other words than {outcome.refused}: {text}"
    if not text.replace("\n", "").isprintable():
        return "the text has control characters"
    if error.where is None or not (error.remedy or error.cause):
        return f"no file, or neither cause nor remedy: {text}"
    return "" if re.search(PLACE, text) else f"no line, column or participant: {text}"


def judge(change: Change, folder: Path, laboratory: Laboratory | None = None) -> tuple[str, str]:
    """Run a change; give its fate and what is wrong."""
    bids = write_files(folder / "bids", change.files)
    try:
        rows, listed = list_dataset(bids)
    except StudyError as error:
        faults = [refusal_fault(error, outcome) for outcome in change.outcomes]
        return ("refused", "") if "" in faults else ("silent", faults[0])
    except Exception:  # what a user would see as a traceback is what is looked for
        return "traceback", traceback.format_exc(limit=-3)
    found = [differences(rows, listed, one) for one in change.outcomes if not one.refused]
    if [] not in found:
        return "silent", "; ".join(min(found, key=len)) if found else "there is a table"
    tale = change.outcomes[[one.refused == "" for one in change.outcomes].index(True) + found.index([])]
    fate = (
        "listed"
        if tale.listed or any(row and row.get("status") for row in tale.rows.values())
        else "right table"
    )
    if laboratory is None or not change.image or rows[change.image]["status"] != "kept":
        return fate, ""
    try:
        verdict, problem = laboratory.examine(change, bids / change.image)
    except Exception:  # likewise
        return "traceback", traceback.format_exc(limit=-3)
    return ("silent", problem) if problem else ("listed" if verdict == "failed" else fate, "")


def run_seed(
    seed: int,
    files: Files,
    folder: Path,
    laboratory: Laboratory | None = None,
    kinds: tuple[str, ...] = tuple(KINDS),
) -> Result:
    """Draw the change of a seed and judge it, in a folder that is emptied afterwards."""
    kind, change = draw_change(seed, files, kinds)
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        return Result(seed, kind, change.what, *judge(change, place, laboratory))
    finally:
        shutil.rmtree(place)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print figures and bars as the last line")
    parser.add_argument("--seeds", type=int, default=500, help="number of changes (default: 500)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of changes")
    parser.add_argument("--images", action="store_true", help="preprocess the changed images too")
    arguments = parser.parse_args()
    start = time.monotonic()
    results = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        files = good_dataset()
        laboratory = Laboratory(files, Path(temporary) / "laboratory") if arguments.images else None
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            results.append(run_seed(seed, files, Path(temporary), laboratory, tuple(arguments.kinds)))
            if results[-1].problem:
                last = results[-1]
                print(f"{seed} {last.kind}: {last.what[:200]!r}\n    {last.problem[:1000]}", flush=True)
    counts = Counter((result.kind, result.fate) for result in results)
    table = pandas.DataFrame(
        {fate: [counts[kind, fate] for kind in arguments.kinds] for fate in FATES}, arguments.kinds
    )
    print(table.to_string())
    figures = {
        "machine": describe_machine(),
        "minutes": (time.monotonic() - start) / 60,
        "fates": table.to_dict("index"),
        "wrong": [vars(result) for result in results if result.problem],
    }
    bars = [Bar(fate, int(table[fate].sum()), 0, "<=") for fate in FATES[3:]]
    return finish(figures, bars, arguments.json)


if __name__ == "__main__":
    run_benchmark(main)
