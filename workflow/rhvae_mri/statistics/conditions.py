"""The study's experimental conditions: the columns that name them, their order and their labels.

A condition is one way to train a network: its architecture, the training set, the data (real images, real
ones under classic augmentation, synthetic ones, or real ones augmented by synthetic ones), the generator and
the number of the synthetic images, and the resolution. A run is a condition with one seed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.metrics import METRICS
from rhvae_mri.study.grid import CONTROLS, NO_GENERATOR, OWN_GENERATOR

if TYPE_CHECKING:
    import pandas

#: The columns that name a condition.
CONDITION = ("architecture", "training_set", "training_data", "generator", "n_synthetic", "resolution")

#: Those of them that name its data.
DATA = CONDITION[2:]

#: The training data without synthetic images.
REAL_DATA = ("real", "classic")

#: The columns that name a set of participants on which runs are evaluated.
EVALUATED_SET = ("test_cohort", "set")

#: What each metric is called in texts.
METRIC_LABELS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "balanced_accuracy": "balanced accuracy",
    "auc": "area under the ROC curve",
}

# The paper's tables have the real images at high resolution in their first row.
_SORTED_BY = (
    *("architecture", "training_set", "training_data", "generator", "resolution", "n_synthetic"),
    *("seed", *EVALUATED_SET, "metric"),
)
_ORDER = {
    "architecture": ("baseline", "optimized"),
    "training_data": (*REAL_DATA, "synthetic", "augmented"),
    "generator": (NO_GENERATOR, *CONTROLS, OWN_GENERATOR, "vae", "ppca", "oracle"),
    "resolution": ("full", "downsampled"),
    "test_cohort": ("ADNI", "AIBL"),
    "set": ("train", "validation", "test"),
    "metric": METRICS,
}


def ordered(column: str, values: Iterable[Any]) -> list[Any]:
    """Return the distinct values of a column in the order of the study's tables.

    Known values come in the paper's order, then any others by the alphabet; training sets by size, with
    ``train-full`` at the end.
    """
    known = _ORDER.get(column, ())

    def rank(value: Any) -> tuple[Any, ...]:
        if column == "training_set":
            size = str(value).removeprefix("train-")
            return (0, int(size), "") if size.isdecimal() else (1, 0, str(value))
        if known:
            return (known.index(value), "") if value in known else (len(known), str(value))
        return (value,)

    return sorted(set(values), key=rank)


def sort_rows(table: pandas.DataFrame) -> pandas.DataFrame:
    """Sort a table's rows by condition, seed, evaluated set and metric, as far as it has these columns."""
    columns = [column for column in _SORTED_BY if column in table.columns]

    def positions(column: pandas.Series) -> pandas.Series:
        places = {value: place for place, value in enumerate(ordered(str(column.name), column))}
        return column.map(places)

    return table.sort_values(columns, key=positions, kind="stable", ignore_index=True)


def check_columns(
    table: pandas.DataFrame, required: Iterable[str], where: str | os.PathLike[str] | None = None
) -> None:
    """Check that a table has the required columns, and no empty cell in them; name all that are wrong."""
    required = list(required)
    missing = [column for column in required if column not in table.columns]
    if missing:
        raise StudyError(
            f"The table lacks the columns {', '.join(missing)}.",
            where=where,
            remedy="Delete the file and let the workflow write it again.",
        )
    empty = [column for column in required if table[column].isna().any()]
    if empty:
        raise StudyError(f"The table has empty cells in the columns {', '.join(empty)}.", where=where)


def own_generator(training_data: str) -> str:
    """Return the generator of a condition that names none: the study's own, or none where all is real."""
    return NO_GENERATOR if training_data in REAL_DATA else OWN_GENERATOR


def list_generators(conditions: pandas.DataFrame) -> list[str]:
    """List the generators in a table, in the order of the tables; labels name them if they are several."""
    return [name for name in ordered("generator", conditions["generator"]) if name != NO_GENERATOR]


def list_doubts(comparisons: pandas.DataFrame) -> list[str]:
    """Say of which generators no gain can be expected, from the table of comparisons."""
    flagged = comparisons.dropna(subset=["flags"]).drop_duplicates(["generator", "training_set"])
    return [f"{row.generator} on {row.training_set}: {row.flags}" for row in sort_rows(flagged).itertuples()]


def data_label(
    training_data: str, generator: str, n_synthetic: int, resolution: str, *, named: bool = False
) -> str:
    """Name the data of a condition as the paper's tables do, and the generator where it is to be ``named``.

    Examples
    --------
    >>> data_label("augmented", "vae", 1000, "downsampled")
    '1,000 synthetic + real'
    >>> data_label("augmented", "vae", 1000, "downsampled", named=True)
    '1,000 synthetic + real (vae)'
    """
    names = {
        "real": "real",
        "classic": "real, classic augmentation",
        "synthetic": f"{n_synthetic:,} synthetic",
        "augmented": f"{n_synthetic:,} synthetic + real",
    }
    name = names.get(training_data, f"{training_data}, {n_synthetic:,} synthetic" if n_synthetic else None)
    name = (name or training_data) + (" (high resolution)" if resolution == "full" else "")
    return name + (f" ({generator})" if named and generator != NO_GENERATOR else "")


def describe(row: Mapping[str, Any]) -> str:
    """Name a condition in full, with its seed and evaluated set if the row has them, for messages."""
    data = data_label(*(row[column] for column in DATA), named=row["generator"] != OWN_GENERATOR)
    parts = [f"{row['architecture']} network on {row['training_set']}, {data}"]
    if "seed" in row:
        parts.append(f"seed {row['seed']}")
    if all(column in row for column in EVALUATED_SET):
        parts.append(f"{row['test_cohort']} {row['set']}")
    return ", ".join(parts)
