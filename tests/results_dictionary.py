"""docs/results.md as data: which files a study writes, and the columns of its tables."""

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

from rhvae_mri.figures.registry import FIGURES, wildcards_of

PAGE = Path(__file__).parents[1] / "docs" / "results.md"

CONDITION = ("architecture", "training_set", "training_data", "generator", "n_synthetic", "resolution")


@dataclass(frozen=True)
class Entry:
    """One kind of file: its patterns, and the columns where it is a table."""

    patterns: tuple[str, ...]
    columns: tuple[str, ...]
    #: Those of the columns that only some of the tables have.
    optional: tuple[str, ...] = ()

    def describes(self, name):
        """Whether a file of the results is of this kind; tables stand for pages and figures too."""
        same = [name]
        if re.match(r"(tables|figures)/", name):
            same.append(name.rpartition(".")[0] + ".tsv")
        inside = (f"{pattern}/*" for pattern in self.patterns)
        return any(fnmatch(each, pattern) for each in same for pattern in self.patterns) or any(
            fnmatch(name, pattern) for pattern in inside
        )


def read_dictionary():
    """The entries of the page, in its order."""
    text = PAGE.read_text().partition("## Columns")[0]
    entries = []
    for item in re.findall(r"^- (.*(?:\n  .*)*)", text, re.MULTILINE):
        head, _, _ = item.partition("`: ")
        columns = re.search(r"\n  \(([^()]*)\)$", item)
        words = re.findall(r"`([^`]+)`(\??)|(\*condition\*)", columns.group(1)) if columns else []
        names = [CONDITION if condition else (name,) for name, _, condition in words]
        optional = tuple(name for name, mark, _ in words if mark)
        patterns = tuple(re.findall(r"`([^`]+)`", f"{head}`"))
        entries.append(Entry(patterns, tuple(column for group in names for column in group), optional))
    return entries


def list_figures(config):
    """The files of all figures that a study with synthetic images has, by the registry."""
    values = {
        "architecture": config["grid"]["architectures"],
        "training_set": config["grid"]["training_sets"],
        "cohort": list(config["cohorts"]),
        "model": ["cnn", "rhvae"],
        "picture": ["traversal", "interpolation", "neighbours"],
    }
    for pattern, entry in FIGURES.items():
        names = wildcards_of(pattern) if entry.needs != "search" else [""]
        for chosen in product(*(values.get(name, []) for name in names)):
            name = pattern.format(**dict(zip(names, chosen, strict=True)))
            yield from (f"figures/{name}.{kind}" for kind in ("svg", "pdf", "tsv"))
            yield from (f"figures/{name}_{table}.tsv" for table in entry.tables)
