"""Two folders of results side by side: the first step at which they differ, by how much, and what made it.

``python -m rhvae_mri.provenance.compare results other``, or ``make compare OTHER=other``. Files are compared
as they are; recorded digests stand only for those that are not there any more.
"""

from __future__ import annotations

import argparse
import filecmp
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pandas

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json, read_tsv, read_yaml, write_tsv
from rhvae_mri.provenance.chain import STEPS, Step, digest_file, files_of, list_files, read_recorded
from rhvae_mri.runtime.machine import LOG_LINE, MACHINES
from rhvae_mri.study.checks import complete, result_settings

TABLE = "comparison.tsv"
COLUMNS = (
    *("step", "files", "differ", "only_here", "only_there", "by_record"),
    *("difference", "relative", "most_different"),
)

#: What tells jobs apart in the paths of files and logs, such as ``cohort-ADNI``.
_ENTITY = re.compile(r"(?<![A-Za-z0-9])[a-z]+(?:_[a-z]+)?-[A-Za-z0-9-]+")

#: What of the record of a machine is compared by its words.
_MANY_WORDS = ("processor.flags", "processor.Features", "torch.build")

#: Whether two files differ; the largest difference of a number, and its share of the largest absolute value.
_Difference = tuple[bool, float, float]


class Study:
    """A folder of results: its settings, its files, by their paths below it, and the recorded digests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        configuration = folder / "provenance" / "configuration.yaml"
        if not configuration.is_file():
            raise StudyError(
                "This is no folder of results.",
                where=folder,
                cause="It has no provenance/configuration.yaml, which every run of a study writes.",
                remedy="Give the folders of two studies: `make compare RESULTS=... OTHER=...`.",
            )
        self.settings = _flatten(result_settings(complete(read_yaml(configuration))))
        self.files = set(list_files(folder))
        self.recorded = read_recorded(folder)

    def digest(self, name: str) -> str:
        """Digest what is in a file; of one that is not there give the recorded digest."""
        return digest_file(self.folder / name)[1] if name in self.files else self.recorded[name]


def compare_steps(here: Study, there: Study, *, threads: int = 2) -> pandas.DataFrame:
    """Compare the files of two studies, step by step.

    The table has `COLUMNS`: the largest difference of voxels, weights or numeric cells, and the largest share
    that one has of the largest absolute value in its image, tensor or column.
    """
    known = [study.files | study.recorded.keys() for study in (here, there)]
    rows = []
    for step in STEPS:
        ours, theirs = (set(files_of(step, names)) for names in known)
        both = sorted(ours & theirs)
        with ThreadPoolExecutor(max(1, threads)) as pool:
            found = pool.map(partial(_compare, here, there), both)
            differing = {
                name: numbers for name, (differ, *numbers) in zip(both, found, strict=True) if differ
            }
        largest, relative = pandas.DataFrame(differing.values(), columns=["", " "], dtype=float).max()
        # a difference without a number, as of texts, counts less than any
        worst = max(differing, key=lambda name: numpy.nan_to_num(differing[name][1], nan=-1), default=None)
        counts = (len(both), len(differing), len(ours - theirs), len(theirs - ours))
        by_record = len(set(both) - (here.files & there.files))
        named = worst or min(ours ^ theirs, default=None)
        rows.append((step.name, *counts, by_record, largest, relative, named))
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def describe_comparison(here: Study, there: Study, table: pandas.DataFrame) -> str:
    """Say whether two studies are equal, or where they begin to differ and what the records say of that."""
    sides = f"({here.folder} | {there.folder})"
    shown = table.drop(columns="most_different")
    text = shown.to_string(index=False, na_rep="", float_format="{:.3g}".format).splitlines()
    names = ["most_different", *table["most_different"].fillna("")]
    lines = [*(f"{line}  {name}" for line, name in zip(text, names, strict=True)), ""]
    if settings := _differences(here.settings, there.settings):
        lines += [f"The studies have different configurations {sides}:", *settings, ""]
    if missing := table["by_record"].sum():
        lines += [f"{missing} files are not there; their recorded digests were compared.", ""]
    unequal = [row.step for row in table.itertuples() if row.differ or row.only_here or row.only_there]
    if not unequal:
        return "\n".join([*lines, f"The studies are equal in all {table['files'].sum()} files."])
    first = next(step for step in STEPS if step.name == unequal[0])
    lines.append(f"The first step at which they differ: {first.name}.")
    names = files_of(first, here.files | there.files)
    machines = _differences(*(_read_machines(study, first, names) for study in (here, there)))
    recorded = f"what is recorded of its jobs {sides}"
    lines += [f"Different in {recorded}:", *machines] if machines else [f"Nothing differs in {recorded}."]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two studies on the command line; return 0 if they are equal, 1 if not, 2 after an error."""
    parser = argparse.ArgumentParser(
        prog="python -m rhvae_mri.provenance.compare",
        description="Compare the results of two studies, step by step, and name the first that differs.",
    )
    parser.add_argument("results", type=Path, help="the folder of results of a study")
    parser.add_argument("other", type=Path, help="that of the study to compare with")
    parser.add_argument("--table", type=Path, help=f"where the table goes (RESULTS/{TABLE})")
    parser.add_argument("--threads", type=int, default=2, help="how many files to compare at a time (2)")
    options = parser.parse_args(arguments)
    try:
        here, there = Study(options.results), Study(options.other)
        table = compare_steps(here, there, threads=options.threads)
        print(describe_comparison(here, there, table))
        write_tsv(options.table or options.results / TABLE, table)
    except (StudyError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return int(table[["differ", "only_here", "only_there"]].to_numpy().any())


def _compare(here: Study, there: Study, name: str) -> _Difference:
    """Compare one file of both studies, by their digests where one of them is not there."""
    if name not in here.files & there.files:
        return here.digest(name) != there.digest(name), numpy.nan, numpy.nan
    pair = here.folder / name, there.folder / name
    if filecmp.cmp(*pair, shallow=False):
        return False, 0.0, 0.0
    try:
        return _compare_arrays(*map(_open, pair))
    except Exception:  # one of them is empty or damaged; every reader says that in another way
        return True, numpy.nan, numpy.nan


def _compare_arrays(*files: Mapping[str, Callable[[], numpy.ndarray]]) -> _Difference:
    """Compare the arrays of two files, of which one at a time is read."""
    differ, largest, relative = files[0].keys() != files[1].keys() or not files[0], numpy.nan, numpy.nan
    for key in () if differ else files[0]:
        first, second = (file[key]() for file in files)
        if first.shape != second.shape or not {first.dtype.kind, second.dtype.kind} <= set("biuf"):
            # `equals` takes missing values for equal
            differ |= not pandas.Series(list(first)).equals(pandas.Series(list(second)))
        elif not numpy.array_equal(first := first.astype(float), second := second.astype(float), True):
            differ = True
            difference = numpy.fmax.reduce(abs(first - second), axis=None)
            scale = numpy.fmax.reduce(numpy.fmax(abs(first), abs(second)), axis=None)
            largest, relative = numpy.fmax(largest, difference), numpy.fmax(relative, difference / scale)
    return differ, largest, relative


def _open(path: Path) -> dict[str, Callable[[], numpy.ndarray]]:
    """Give what reads each array of a file, by name; nothing for a file that is no array or table."""
    if path.name.endswith((".nii", ".nii.gz")):
        import nibabel

        image = nibabel.load(path)
        return {"affine": lambda: image.affine, "voxels": lambda: numpy.asarray(image.dataobj)}
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        file = safe_open(path, framework="numpy")
        return {key: partial(file.get_tensor, key) for key in sorted(file.keys())}
    if path.suffix == ".tsv":
        table = read_tsv(path)
        return {name: table[name].to_numpy for name in table}
    return {}


def _read_machines(study: Study, step: Step, names: Collection[str]) -> dict[str, set[str]]:
    """Gather what is recorded of the machines of a step's jobs, those of some files, and of the code."""
    made = {frozenset(_ENTITY.findall(name)) for name in names}
    digests = set()
    for log in study.files:
        own = frozenset(_ENTITY.findall(log))
        if re.fullmatch(rf"logs/({step.rules})(/.*)?\.log", log) and any(own <= each for each in made):
            text = (study.folder / log).read_text(encoding="utf-8", errors="replace")
            digests.update(LOG_LINE.findall(text))
    files = [study.folder / MACHINES / f"{digest}.json" for digest in digests]
    software = study.folder / "provenance" / "software.json"
    code = {"code": read_json(software)["rhvae-mri"]["revision"]} if software.is_file() else {}
    values: dict[str, set[str]] = {}
    for record in (code, *(read_json(file) for file in files if file.is_file())):
        for key, found in _flatten(record).items():
            values.setdefault(key, set()).update(found)
    return values


def _flatten(node: Any, path: str = "") -> dict[str, set[str]]:
    """Give the values of a tree by their paths; of what is many words, each one for itself."""
    if isinstance(node, Mapping):
        parts = (_flatten(child, f"{path}.{name}".lstrip(".")) for name, child in node.items())
        return {key: value for part in parts for key, value in part.items()}
    return {path: set(str(node).split()) if path in _MANY_WORDS else {str(node)}}


def _differences(ours: Mapping[str, set[str]], theirs: Mapping[str, set[str]]) -> list[str]:
    """Write what only one of two trees has, with both values."""
    lines = []
    for key in sorted(ours.keys() | theirs.keys()):
        first, second = ours.get(key, set()), theirs.get(key, set())
        texts = [", ".join(sorted(some)) or "-" for some in (first - second, second - first)]
        if first != second:
            lines.append(f"  {key}: {' | '.join(texts)}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
