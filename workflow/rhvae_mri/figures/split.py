"""Where the participants of each set come from: a diagram with numbers, from all images to the sets."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas
from matplotlib.figure import Figure

from rhvae_mri.cohort.attrition import attrition_flow, judge_images
from rhvae_mri.cohort.split import TRAIN_FULL, name_sets
from rhvae_mri.figures.boxes import LINE, PADDING, box_height, diagram, draw_arrow, draw_box
from rhvae_mri.figures.style import PAGE_WIDTH, QUIET, Drawing, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.study.names import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLE = "From all images to the sets of the study"
_REASONS = 4  # how many reasons a box lists

# All in inches.
_EDGE, _TOP = 0.06, 0.34
_BETWEEN = 0.17
_BOX = 1.5
_LOSS = 1.78
_SET = 1.04


def split_source(
    cohorts: Mapping[str, tuple[pandas.DataFrame, pandas.DataFrame, pandas.DataFrame]],
    split: pandas.DataFrame,
    independent: pandas.DataFrame,
) -> pandas.DataFrame:
    """Count the images at every step and the participants of every set."""
    if not cohorts:
        raise StudyError("There is no cohort to draw.")
    rows = []
    for cohort, tables in cohorts.items():
        for event in attrition_flow(judge_images(*tables)):
            if event.event in ("count", "loss"):
                counts = [event.by_diagnosis.get(name, 0) for name in CLASSES]
                rows.append((cohort, event.event, event.step, None, event.reason, len(event.images), *counts))
        if cohort == next(iter(cohorts)):
            sets = name_sets(split)
        else:
            sets = {"test": independent[independent["cohort"] == cohort]}
        for name, members in sets.items():
            inside = TRAIN_FULL if name.startswith("train-") and name != TRAIN_FULL else None
            counts = [int((members["diagnosis"] == diagnosis).sum()) for diagnosis in CLASSES]
            rows.append((cohort, "set", name, inside, None, len(members), *counts))
    return pandas.DataFrame(
        rows, columns=["cohort", "event", "name", "inside", "reason", "n", "n_AD", "n_CN"]
    )


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
    """Draw the way from all images of each cohort to the sets."""
    tables = dict(zip(cohorts, zip(images, quality, metrics, strict=True), strict=True))
    source = split_source(tables, split, independent)
    return Drawing(source, _figure(source, simulated), _TITLE)


def _figure(source: pandas.DataFrame, simulated: bool) -> Figure:
    cohorts = list(dict.fromkeys(source["cohort"]))
    flows = {cohort: _flow(source[source["cohort"] == cohort]) for cohort in cohorts}
    flow_height = max(sum(_row_height(box, loss) + _BETWEEN for box, loss in flow) for flow in flows.values())
    sets = source[source["event"] == "set"]
    n_nested = int(sets["inside"].notna().sum())
    sets_height = box_height(["", ""]) + n_nested * (2 * LINE + 3 * PADDING)
    height = _TOP + 0.16 + flow_height + 0.2 + sets_height + 0.1
    figure, ax = diagram(PAGE_WIDTH, height)
    for number, cohort in enumerate(cohorts):
        left = _EDGE + number * (PAGE_WIDTH / 2)
        ax.text(left, _TOP + 0.04, cohort, weight="bold", va="center")
        end = _draw_flow(ax, flows[cohort], left, _TOP + 0.16)
        _draw_sets(ax, sets[sets["cohort"] == cohort], left, end, _TOP + 0.16 + flow_height + 0.2)
    set_heading(figure, _TITLE, simulated=simulated, y=1 - 0.06 / height)
    return figure


def _flow(rows: pandas.DataFrame) -> list[tuple[list[str], list[str]]]:
    """Arrange the first step, those that lose images and the last: the lines of each box and its losses."""
    counts = rows[rows["event"] == "count"]
    flow: list[tuple[list[str], list[str]]] = []
    for place, step in enumerate(counts.itertuples()):
        losses = rows[(rows["event"] == "loss") & (rows["name"] == step.name)]
        if place not in (0, len(counts) - 1) and losses.empty:
            continue
        others = step.n - step.n_AD - step.n_CN
        by_class = f"{step.n_AD:,} AD, {step.n_CN:,} CN" + (f", {others:,} other" if others else "")
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
    return max(0.0, box_height(box) + _BETWEEN / 2 - box_height(loss) / 2)


def _row_height(box: list[str], loss: list[str]) -> float:
    return max(box_height(box), _loss_offset(box, loss) + box_height(loss) if loss else 0.0)


def _draw_flow(ax: Axes, flow: list[tuple[list[str], list[str]]], left: float, top: float) -> float:
    """Draw the boxes of a cohort one below the other; return the lower edge of the last one."""
    x = left + _BOX / 2
    end = top
    for place, (box, loss) in enumerate(flow):
        if place:
            draw_arrow(ax, (x, end), (x, top))
        draw_box(ax, box, left, top, _BOX)
        end = top + box_height(box)
        if loss:
            middle = end + _BETWEEN / 2
            draw_arrow(ax, (x, middle), (left + _BOX + 0.12, middle), shade=QUIET)
            offset = _loss_offset(box, loss)
            draw_box(ax, loss, left + _BOX + 0.12, top + offset, _LOSS, edge=QUIET, face="white")
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
        lines = [row.name, f"{row.n_AD:,} AD, {row.n_CN:,} CN"]
        size = len(inner) * (2 * LINE + 3 * PADDING)
        draw_box(ax, lines, x, top, width, extra=size)
        for number, one in enumerate(inner.itertuples()):
            y = top + box_height(lines) + number * (2 * LINE + 3 * PADDING)
            inside = [one.name, f"{one.n_AD:,} AD, {one.n_CN:,} CN"]
            draw_box(ax, inside, x + 0.08, y, width - 0.16, face="white")
        turn, end = top - 0.12, x + width / 2
        draw_arrow(ax, (trunk, start), (trunk, turn), (end, turn), (end, top))
