"""Diagrams with numbers: from all images to the sets, and how classifiers are trained and tested.

They are boxes with lines of text and arrows between them, in inches from the upper left corner.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas
from matplotlib.patches import FancyArrowPatch, Rectangle

from rhvae_mri.cohort.attrition import attrition_flow, judge_images
from rhvae_mri.cohort.split import name_sets
from rhvae_mri.figures.looks import BAND, INK, QUIET, RESOLUTIONS, Look
from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, Page, set_heading
from rhvae_mri.statistics.conditions import REAL_DATA, list_generators, ordered, sort_rows
from rhvae_mri.study.grid import OWN_GENERATOR
from rhvae_mri.study.names import CLASSES, TRAIN_FULL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All in inches: height of a line of text and distance of the text from the box's edge.
_LINE, _PADDING = 0.125, 0.05

# From all images to the sets: heading, between boxes, widths of boxes, height of a set within another.
_EDGE, _TOP, _BETWEEN = 0.06, 0.34, 0.17
_BOX, _LOSS, _SET = 1.5, 1.78, 1.04
_INNER = 2 * _LINE + 3 * _PADDING
_REASONS = 4  # how many reasons a box lists

# Training and testing: left edges and widths of the columns, heading, between training sets.
_REAL, _MODEL, _MADE = (0.06, 0.92), (1.28, 0.88), (2.46, 0.98)
_DATA, _CLASSIFIER, _HELD_OUT = (3.74, 1.72), (5.76, 1.28), (5.94, 1.1)
_SCHEME_TOP, _APART = 0.4, 0.2
_WRAP, _WRAP_MODEL = 32, 15  # letters in a line of the columns of training data and of models
_DATA_NAMES = {"classic": "real, classic augmentation", "augmented": "synthetic + real"}


def _height(lines: Sequence[str]) -> float:
    """The height of a box with these lines."""
    return len(lines) * _LINE + 2 * _PADDING


def _box(
    ax: Axes, lines: Sequence[str], left: float, top: float, width: float, *, extra: float = 0, **look: Any
) -> None:
    """Draw a box with lines of text, the first in bold, and ``extra`` inches of room below them."""
    look = Look(edgecolor=INK, facecolor=BAND, linewidth=0.7) | look
    ax.add_patch(Rectangle((left, top), width, _height(lines) + extra, **look))
    for number, line in enumerate(lines):
        y = top + _PADDING + (number + 0.5) * _LINE
        weight = "normal" if number else "bold"
        ax.text(left + _PADDING, y, line, va="center", fontsize=6.5, weight=weight)


def _arrow(ax: Axes, *points: tuple[float, float], shade: str = INK) -> None:
    """Draw an arrow along points, from the first to the last."""
    if len(points) > 2:
        ax.plot(*zip(*points[:-1], strict=True), color=shade, linewidth=0.7, solid_capstyle="butt")
    look = Look(color=shade, arrowstyle="-|>", mutation_scale=6, linewidth=0.7)
    ax.add_patch(FancyArrowPatch(points[-2], points[-1], **look, shrinkA=0, shrinkB=0))


def _by_class(diagnoses: pandas.Series) -> list[int]:
    return [int((diagnoses == name).sum()) for name in CLASSES]


def _name_classes(counts: Sequence[int]) -> str:
    return ", ".join(f"{count:,} {name}" for count, name in zip(counts, CLASSES, strict=True))


def draw_split(
    images: Sequence[pandas.DataFrame],
    quality: Sequence[pandas.DataFrame],
    metrics: Sequence[pandas.DataFrame],
    split: pandas.DataFrame,
    independent: pandas.DataFrame,
    *,
    cohorts: Sequence[str],
    simulated: bool,
) -> Drawing:
    """Draw the way from all images of each cohort, of which the first is trained on, to the sets."""
    rows: list[tuple[Any, ...]] = []
    for place, (cohort, *tables) in enumerate(zip(cohorts, images, quality, metrics, strict=True)):
        for event in attrition_flow(judge_images(*tables)):
            if event.event in ("count", "loss"):
                counts = [event.by_diagnosis.get(name, 0) for name in CLASSES]
                rows.append((cohort, event.event, event.step, None, event.reason, len(event.images), *counts))
        sets = {"test": independent[independent["cohort"] == cohort]} if place else name_sets(split)
        for name, members in sets.items():
            inside = TRAIN_FULL if name.startswith("train-") and name != TRAIN_FULL else None
            counts = _by_class(members["diagnosis"])
            rows.append((cohort, "set", name, inside, None, len(members), *counts))
    columns = ["cohort", "event", "name", "inside", "reason", "n", "n_AD", "n_CN"]
    source = pandas.DataFrame(rows, columns=columns)
    flows = {cohort: _flow(source[source["cohort"] == cohort]) for cohort in cohorts}
    flow_height = max(sum(_row_height(box, loss) + _BETWEEN for box, loss in flow) for flow in flows.values())
    sets = source[source["event"] == "set"]
    sets_height = _height(["", ""]) + int(sets["inside"].notna().sum()) * _INNER
    page = Page(_TOP + 0.16 + flow_height + 0.2 + sets_height + 0.1)
    ax = page.diagram()
    for number, cohort in enumerate(cohorts):
        left = _EDGE + number * (PAGE_WIDTH / 2)
        ax.text(left, _TOP + 0.04, cohort, weight="bold", va="center")
        end = _draw_flow(ax, flows[cohort], left, _TOP + 0.16)
        _draw_sets(ax, sets[sets["cohort"] == cohort], left, end, _TOP + 0.16 + flow_height + 0.2)
    title = "From all images to the sets of the study"
    set_heading(page.figure, title, simulated=simulated, below=0.06)
    return Drawing(source, page.figure, title)


def _flow(rows: pandas.DataFrame) -> list[tuple[list[str], list[str]]]:
    """Arrange the first step, those that lose images and the last: the lines of each box and its losses."""
    counts = rows[rows["event"] == "count"]
    flow: list[tuple[list[str], list[str]]] = []
    for place, step in enumerate(counts.itertuples()):
        losses = rows[(rows["event"] == "loss") & (rows["name"] == step.name)]
        if place not in (0, len(counts) - 1) and losses.empty:
            continue
        others = step.n - step.n_AD - step.n_CN
        by_class = _name_classes((step.n_AD, step.n_CN)) + (f", {others:,} other" if others else "")
        if flow:
            flow[-1] = (flow[-1][0], _loss_lines(losses))
        flow.append(([step.name, f"{step.n:,} images", by_class], []))
    return flow


def _loss_lines(losses: pandas.DataFrame) -> list[str]:
    if losses.empty:
        return []
    sorted_losses = losses.sort_values("n", ascending=False, kind="stable")
    shown = list(sorted_losses[["reason", "n"]].itertuples(index=False, name=None))
    if len(shown) > _REASONS:
        others = shown[_REASONS - 1 :]
        shown[_REASONS - 1 :] = [(f"{len(others)} other reasons", sum(number for _, number in others))]
    lines = [f"left out: {int(losses['n'].sum()):,}"]
    for reason, number in shown:
        lines += textwrap.wrap(f"{number:,}  {reason}", 34, subsequent_indent="    ")
    return lines


def _loss_offset(box: list[str], loss: list[str]) -> float:
    """How far below the upper edge of a box that of its losses is: their arrow leaves below the box."""
    return max(0.0, _height(box) + _BETWEEN / 2 - _height(loss) / 2)


def _row_height(box: list[str], loss: list[str]) -> float:
    return max(_height(box), _loss_offset(box, loss) + _height(loss) if loss else 0.0)


def _draw_flow(ax: Axes, flow: list[tuple[list[str], list[str]]], left: float, top: float) -> float:
    """Draw the boxes of a cohort one below the other; return the lower edge of the last one."""
    x = left + _BOX / 2
    end = top
    for place, (box, loss) in enumerate(flow):
        if place:
            _arrow(ax, (x, end), (x, top))
        _box(ax, box, left, top, _BOX)
        end = top + _height(box)
        if loss:
            middle = end + _BETWEEN / 2
            _arrow(ax, (x, middle), (left + _BOX + 0.12, middle), shade=QUIET)
            offset = _loss_offset(box, loss)
            _box(ax, loss, left + _BOX + 0.12, top + offset, _LOSS, edgecolor=QUIET, facecolor="white")
        top += _row_height(box, loss) + _BETWEEN
    return end


def _draw_sets(ax: Axes, sets: pandas.DataFrame, left: float, start: float, top: float) -> None:
    """Draw the sets of a cohort side by side; smaller training sets are inside train-full."""
    outer = sets[sets["inside"].isna()]
    trunk = left + _BOX / 2
    width = _BOX if len(outer) == 1 else _SET
    for place, row in enumerate(outer.itertuples()):
        inner = sets[sets["inside"] == row.name]
        x = left + place * (width + 0.1)
        lines = [row.name, _name_classes((row.n_AD, row.n_CN))]
        size = len(inner) * _INNER
        _box(ax, lines, x, top, width, extra=size)
        for number, one in enumerate(inner.itertuples()):
            y = top + _height(lines) + number * _INNER
            inside = [one.name, _name_classes((one.n_AD, one.n_CN))]
            _box(ax, inside, x + 0.08, y, width - 0.16, facecolor="white")
        turn, end = top - 0.12, x + width / 2
        _arrow(ax, (trunk, start), (trunk, turn), (end, turn), (end, top))


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
    source = _scheme_source(split, conditions, generated_per_class)
    sets = [(name, part) for name, part in source.groupby("training_set", sort=False)]
    several = len(list_generators(source)) > 1
    data = [_data_lines(part, several) for _, part in sets]
    models = [_model_lines(part) for _, part in sets]
    heights = [
        max(_height(lines), 2 * _height([*of_set, ""]) + 0.1)
        for lines, of_set in zip(data, models, strict=True)
    ]
    architectures = ordered("architecture", [one["architecture"] for one in conditions])
    runs = f"{n_seeds} run{'s' if n_seeds > 1 else ''} each"
    networks = [f"{name} network" for name in architectures]
    classifier = ["CNN", *networks, f"{len(conditions)} conditions,", runs]
    members = {f"{name} ({training_cohort})": split[split["set"] == name] for name in ("validation", "test")}
    members |= {f"test ({name})": rows for name, rows in independent.groupby("cohort")}
    held_out = []
    for name, rows in members.items():
        use = "chooses the epoch" if name.startswith("validation") else "chooses nothing"
        held_out.append([name, _name_classes(_by_class(rows["diagnosis"])), use])
    below = _height(classifier) + 0.1
    right = below + sum(_height(lines) + 0.1 for lines in held_out)
    page = Page(_SCHEME_TOP + max(sum(heights) + _APART * (len(sets) - 1), right) + 0.1)
    ax = page.diagram()
    trunk, entrance = _CLASSIFIER[0] - 0.15, _SCHEME_TOP + _height(classifier) / 2
    top = _SCHEME_TOP
    for (name, part), lines, of_set, height in zip(sets, data, models, heights, strict=True):
        middle = top + height / 2
        _draw_training_set(ax, name, part.iloc[0], of_set, middle, height, several)
        _box(ax, lines, _DATA[0], middle - _height(lines) / 2, _DATA[1])
        _arrow(ax, (sum(_DATA), middle), (trunk, middle), (trunk, entrance), (_CLASSIFIER[0], entrance))
        top += height + _APART
    _box(ax, classifier, _CLASSIFIER[0], _SCHEME_TOP, _CLASSIFIER[1])
    x, end = (_CLASSIFIER[0] + _HELD_OUT[0]) / 2, _SCHEME_TOP + _height(classifier)
    top = end + 0.1
    for lines in held_out:
        middle = top + _height(lines) / 2
        _arrow(ax, (x, end), (x, middle), (_HELD_OUT[0], middle))
        _box(ax, lines, _HELD_OUT[0], top, _HELD_OUT[1], facecolor="white")
        top += _height(lines) + 0.1
    title = "How the classifiers are trained and tested"
    set_heading(page.figure, title, simulated=simulated, below=0.06)
    return Drawing(source, page.figure, title)


def _scheme_source(
    split: pandas.DataFrame, conditions: Sequence[Mapping[str, Any]], generated_per_class: int
) -> pandas.DataFrame:
    """Count what the scheme shows."""
    grid = pandas.DataFrame(list(conditions))
    generated = generated_per_class if (grid["n_synthetic"] > 0).any() else 0
    rows = []
    for training_set in ordered("training_set", grid["training_set"]):
        counts = _by_class(split.loc[split[training_set] == 1, "diagnosis"])
        of_set = grid[grid["training_set"] == training_set]
        for (data, generator), chosen in sort_rows(of_set).groupby(
            ["training_data", "generator"], sort=False
        ):
            variants = [f"{size:,}" for size in sorted(set(chosen["n_synthetic"]) - {0})] or [
                RESOLUTIONS.get(name, name) for name in ordered("resolution", chosen["resolution"])
            ]
            rows.append((training_set, *counts, generated, generated, data, generator, "; ".join(variants)))
    columns = "training_set n_AD n_CN generated_AD generated_CN training_data generator variants"
    return pandas.DataFrame(rows, columns=columns.split())


def _data_lines(part: pandas.DataFrame, several: bool) -> list[str]:
    """Write the training data of a set; of ``several`` generators those with the same sizes together."""
    lines = ["training data"]
    for (data, variants), rows in part.groupby(["training_data", "variants"], sort=False):
        names = f" ({', '.join(rows['generator'])})" if several and data not in REAL_DATA else ""
        text = f"{_DATA_NAMES.get(data, data)}{names}: {variants}"
        lines += textwrap.wrap(text, _WRAP, subsequent_indent="    ", break_on_hyphens=False)
    return lines


def _model_lines(part: pandas.DataFrame) -> list[str]:
    """Name the generators of a training set."""
    generators = list_generators(part)
    if len(generators) > 1:
        return ["generators", *textwrap.wrap(", ".join(generators), _WRAP_MODEL, break_on_hyphens=False)]
    return ["RHVAE"] if generators == [OWN_GENERATOR] else generators


def _draw_training_set(
    ax: Axes, name: str, counts: pandas.Series, models: list[str], middle: float, height: float, several: bool
) -> None:
    """Draw the real images, the models of each class and what they make."""
    real = [name, "real images:", f"{counts['n_AD']:,} AD", f"{counts['n_CN']:,} CN"]
    _box(ax, real, _REAL[0], middle - _height(real) / 2, _REAL[1])
    edge, data = sum(_REAL), _DATA[0]
    _arrow(ax, (edge, middle), (data, middle))
    if not counts["generated_AD"]:
        return
    box = _height([*models, ""])
    for number, diagnosis in enumerate(CLASSES):
        y = middle + (number - 0.5) * (height - box)
        bend = edge + 0.14
        _arrow(ax, (edge, middle), (bend, middle), (bend, y), (_MODEL[0], y))
        _box(ax, [*models, f"{counts[f'n_{diagnosis}']:,} {diagnosis}"], _MODEL[0], y - box / 2, _MODEL[1])
        _arrow(ax, (sum(_MODEL), y), (_MADE[0], y))
        made = [
            "synthetic",
            f"{counts[f'generated_{diagnosis}']:,} {diagnosis}" + (" each" if several else ""),
        ]
        _box(ax, made, _MADE[0], y - _height(made) / 2, _MADE[1])
        bend = sum(_MADE) + 0.13
        _arrow(ax, (sum(_MADE), y), (bend, y), (bend, middle), (data, middle))
