"""How training sets are augmented: from real images to RHVAEs, synthetic images, classifiers and tests."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas
from matplotlib.figure import Figure

from rhvae_mri.figures.boxes import box_height, diagram, draw_arrow, draw_box
from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import ordered
from rhvae_mri.study.names import CLASSES

_TITLE = "How the classifiers are trained and tested"
_DATA_NAMES = {
    "classic": "real, classic augmentation",
    "augmented": "synthetic + real",
}
_RESOLUTION_NAMES = {"full": "high resolution", "downsampled": "down-sampled"}

# Left edges and widths of the columns, and the rest of the layout, in inches.
_REAL, _MODEL, _MADE, _DATA, _CLASSIFIER = (
    (0.06, 0.92),
    (1.28, 0.88),
    (2.46, 0.98),
    (3.74, 1.72),
    (5.76, 1.28),
)
_HELD_OUT = (5.94, 1.1)
_TOP, _BETWEEN = 0.4, 0.2
_WRAP = 32  # letters in a line of the column of training data


def scheme_source(
    split: pandas.DataFrame,
    conditions: Sequence[Mapping[str, Any]],
    generated_per_class: int,
) -> pandas.DataFrame:
    """Count what the scheme shows."""
    if not conditions:
        raise StudyError("There is no condition to draw.")
    grid = pandas.DataFrame(list(conditions))
    makes_images = (grid["n_synthetic"] > 0).any()
    rows = []
    for training_set in ordered("training_set", grid["training_set"]):
        members = split.loc[split[training_set] == 1, "diagnosis"]
        row: dict[str, Any] = {"training_set": training_set}
        row |= {f"n_{name}": int((members == name).sum()) for name in CLASSES}
        row |= {f"generated_{name}": generated_per_class if makes_images else 0 for name in CLASSES}
        of_set = grid[grid["training_set"] == training_set]
        for data in ordered("training_data", of_set["training_data"]):
            chosen = of_set[of_set["training_data"] == data]
            sizes = sorted({int(size) for size in chosen["n_synthetic"]} - {0})
            variants = [f"{size:,}" for size in sizes] or [
                _RESOLUTION_NAMES.get(name, name) for name in ordered("resolution", chosen["resolution"])
            ]
            rows.append(row | {"training_data": data, "variants": "; ".join(variants)})
    return pandas.DataFrame(rows)


def draw_scheme(
    split: pandas.DataFrame,
    independent: pandas.DataFrame,
    *,
    training_cohort: str,
    conditions: Sequence[Mapping[str, Any]],
    generated_per_class: int,
    n_seeds: int,
    simulated: bool,
) -> Drawing:
    """Draw the scheme of the augmentation with the study's numbers."""
    source = scheme_source(split, conditions, generated_per_class)
    architectures = ordered("architecture", [one["architecture"] for one in conditions])
    held_out = {
        f"validation ({training_cohort})": split[split["set"] == "validation"],
        f"test ({training_cohort})": split[split["set"] == "test"],
    }
    held_out |= {f"test ({name})": rows for name, rows in independent.groupby("cohort")}
    tests = {name: _by_class(rows["diagnosis"]) for name, rows in held_out.items()}
    figure = _figure(source, architectures, n_seeds, len(conditions), tests, simulated)
    return Drawing(source, figure, _TITLE)


def _by_class(diagnoses: pandas.Series) -> str:
    return ", ".join(f"{int((diagnoses == name).sum()):,} {name}" for name in CLASSES)


def _figure(
    source: pandas.DataFrame,
    architectures: list[str],
    n_seeds: int,
    n_conditions: int,
    tests: dict[str, str],
    simulated: bool,
) -> Figure:
    rows = [(name, part) for name, part in source.groupby("training_set", sort=False)]
    data_lines = [_data_lines(part) for _, part in rows]
    heights = [max(box_height(lines), 2 * box_height(["", ""]) + 0.1) for lines in data_lines]
    classifier = [
        "CNN",
        *(f"{name} network" for name in architectures),
        f"{n_conditions} conditions,",
        f"{n_seeds} run{'s' if n_seeds > 1 else ''} each",
    ]
    held_out = {
        name: [name, counts, "chooses the epoch" if name.startswith("validation") else "chooses nothing"]
        for name, counts in tests.items()
    }
    right = box_height(classifier) + 0.1 + sum(box_height(lines) + 0.1 for lines in held_out.values())
    height = _TOP + max(sum(heights) + _BETWEEN * (len(rows) - 1), right) + 0.1
    figure, ax = diagram(PAGE_WIDTH, height)
    trunk = _CLASSIFIER[0] - 0.15
    top = _TOP
    entrance = _TOP + box_height(classifier) / 2
    for (name, part), lines, row_height in zip(rows, data_lines, heights, strict=True):
        _draw_training_set(
            ax, name, part.iloc[0], top, row_height, has_models=bool(part["generated_AD"].any())
        )
        middle = top + row_height / 2
        draw_box(ax, lines, _DATA[0], middle - box_height(lines) / 2, _DATA[1])
        draw_arrow(ax, (sum(_DATA), middle), (trunk, middle), (trunk, entrance), (_CLASSIFIER[0], entrance))
        top += row_height + _BETWEEN
    draw_box(ax, classifier, _CLASSIFIER[0], _TOP, _CLASSIFIER[1])
    below = _TOP + box_height(classifier)
    x = (_CLASSIFIER[0] + _HELD_OUT[0]) / 2
    top = below + 0.1
    for lines in held_out.values():
        middle = top + box_height(lines) / 2
        draw_arrow(ax, (x, below), (x, middle), (_HELD_OUT[0], middle))
        draw_box(ax, lines, _HELD_OUT[0], top, _HELD_OUT[1], face="white")
        top += box_height(lines) + 0.1
    set_heading(figure, _TITLE, simulated=simulated, y=1 - 0.06 / height)
    return figure


def _data_lines(part: pandas.DataFrame) -> list[str]:
    lines = ["training data"]
    for row in part.itertuples():
        name = _DATA_NAMES.get(row.training_data, row.training_data)
        lines += textwrap.wrap(
            f"{name}: {row.variants}", _WRAP, subsequent_indent="    ", break_on_hyphens=False
        )
    return lines


def _draw_training_set(
    ax: Any, name: str, counts: pandas.Series, top: float, row_height: float, *, has_models: bool
) -> None:
    """Draw the real images, the RHVAE of each class and what it makes."""
    middle = top + row_height / 2
    real = [name, "real images:", f"{counts['n_AD']:,} AD", f"{counts['n_CN']:,} CN"]
    draw_box(ax, real, _REAL[0], middle - box_height(real) / 2, _REAL[1])
    edge, data = sum(_REAL), _DATA[0]
    draw_arrow(ax, (edge, middle), (data, middle))
    if not has_models:
        return
    pair = box_height(["", ""])
    for number, diagnosis in enumerate(CLASSES):
        y = middle + (number - 0.5) * (row_height - pair)
        model = ["RHVAE", f"{counts[f'n_{diagnosis}']:,} {diagnosis}"]
        made = ["synthetic", f"{counts[f'generated_{diagnosis}']:,} {diagnosis}"]
        bend = edge + 0.14
        draw_arrow(ax, (edge, middle), (bend, middle), (bend, y), (_MODEL[0], y))
        draw_box(ax, model, _MODEL[0], y - pair / 2, _MODEL[1])
        draw_arrow(ax, (sum(_MODEL), y), (_MADE[0], y))
        draw_box(ax, made, _MADE[0], y - pair / 2, _MADE[1])
        bend = sum(_MADE) + 0.13
        draw_arrow(ax, (sum(_MADE), y), (bend, y), (bend, middle), (data, middle))
