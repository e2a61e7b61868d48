"""What the page's script knows of every image, as one JSON object."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import pandas

from rhvae_mri.audit.parameters import share_parameters
from rhvae_mri.audit.pictures import ImageRecord
from rhvae_mri.cohort.attrition import FAILED, FAULT, PASSED, Event
from rhvae_mri.cohort.exclusions import COLUMNS as DECISION_COLUMNS
from rhvae_mri.quality.definitions import METRIC_NAMES, METRICS, Metric
from rhvae_mri.quality.outliers import robust_scores

#: Between the flags of an image.
FLAG_SEPARATOR = ";"

#: The score by which images are sorted where the deep quality control was not run.
FALLBACK_SCORE = "similarity"
DEEP_SCORE = "pass_probability"

_NOT_METRICS = ("image_id", "participant_id", "session_id", "field_strength", "fault")

#: The steps of the preprocessing whose parameters the page shows, with their names.
_STEPS = {
    "raw": "Raw image",
    "corrected": "Bias field correction",
    "registered": "Registration",
    "cropped": "Crop",
}

#: Columns of the judged images that the script gets as they are.
_COLUMNS = (
    *("image_id", "participant_id", "session_id", "diagnosis", "site", "age", "sex", "field_strength"),
    *("fate", "why", "flags", "decision", "decision_reason", "decided_by", "decided_on"),
)


#: What the script gets of a cell that was not used as it stands.
_LISTED = ("table", "variable", "value", "outcome")


def collect_values(judged: pandas.DataFrame, metrics: pandas.DataFrame) -> pandas.DataFrame:
    """Give the metrics and the deep quality control's probability of each image."""
    names = [
        name
        for name in metrics.columns
        if name not in _NOT_METRICS and (metrics[name].isna().all() or metrics[name].dtype.kind in "fiub")
    ]
    values = judged[["image_id"]].merge(metrics[["image_id", *names]], on="image_id", how="left")[names]
    values = values.assign(**{DEEP_SCORE: judged[DEEP_SCORE].to_numpy()}).astype(float)
    return values.where(numpy.isfinite(values))


def robust_positions(
    values: pandas.DataFrame, field_strengths: Sequence[float] | None = None
) -> pandas.DataFrame:
    """Give the robust z-score of each known metric of each image, as the flags have it."""
    metrics = values.reindex(columns=list(METRIC_NAMES))
    if field_strengths is not None:
        metrics = metrics.assign(field_strength=numpy.asarray(field_strengths, dtype=float))
    scores = robust_scores(metrics)
    return scores[[name for name in scores if name in values and scores[name].notna().any()]]


def describe_metrics(
    values: pandas.DataFrame,
    positions: pandas.DataFrame,
    thresholds: Mapping[str, float],
    outlier_z: float | None,
) -> list[dict[str, Any]]:
    """Say of each metric what it is, where its images lie, and which bounds apply."""
    known = {metric.name: metric for metric in METRICS}
    described = []
    for name in values.columns:
        metric = known.get(name)
        entry: dict[str, Any] = {
            "name": name,
            "meaning": metric.meaning if metric else "",
            "unit": metric.unit if metric and metric.unit != "1" else "",
        }
        if name == DEEP_SCORE:
            entry["meaning"] = "Probability of a good registration, from the deep quality control."
        numbers = values[name].dropna().to_numpy()
        if numbers.size:
            entry |= {
                "threshold": thresholds.get(name),
                "median": _rounded(numpy.median(numbers)),
                "fences": [None, None],
                "low": _rounded(numbers.min()),
                "high": _rounded(numbers.max()),
            }
            if metric and outlier_z is not None and name in positions:
                entry["fences"] = _fences(metric, values[name], positions[name], outlier_z)
        described.append(entry)
    return described


def worst_first(judged: pandas.DataFrame, values: pandas.DataFrame) -> list[int]:
    """Order the images: faults and failures, then by the number of flags, then by score, the lowest first.

    The score is the deep quality control's probability where it was run, else the similarity.
    """
    scores = score(values)
    fates = {FAULT: 0, FAILED: 0, PASSED: 1}

    def key(place: int) -> tuple[float, ...]:
        value = scores[place]
        return (
            fates.get(judged["fate"].iloc[place], 2),
            -count_flags(judged["flags"].iloc[place]),
            -math.inf if value is None else value,
            place,
        )

    return sorted(range(len(judged)), key=key)


def score(values: pandas.DataFrame) -> list[float | None]:
    """Give the number by which images are sorted: the deep check's probability, else the similarity."""
    scores = values[DEEP_SCORE]
    if FALLBACK_SCORE in values:
        scores = scores.fillna(values[FALLBACK_SCORE])
    return [_rounded(value) for value in scores]


def count_flags(flags: Any) -> int:
    """Count the flags of an image."""
    return 0 if pandas.isna(flags) else sum(bool(part.strip()) for part in str(flags).split(FLAG_SEPARATOR))


def page_data(
    cohort: str,
    judged: pandas.DataFrame,
    values: pandas.DataFrame,
    positions: pandas.DataFrame,
    described: Sequence[Mapping[str, Any]],
    records: Mapping[str, ImageRecord],
    flow: Sequence[Event],
    files: pandas.DataFrame | None,
    decisions: Sequence[Mapping[str, str]] | None,
    layout: tuple[int, int],
    cells: pandas.DataFrame | None = None,
) -> dict[str, Any]:
    """Gather what the page's script needs."""
    ids = judged["image_id"].tolist()
    listed = _decisions(cohort, judged, decisions)
    own = [records.get(image_id, ImageRecord(image_id)) for image_id in ids]
    n_flags = [count_flags(flags) for flags in judged["flags"]]
    return {
        "cohort": cohort,
        "storageKey": f"rhvae-mri audit {cohort} {_digest(cohort, ids, listed)}",
        "layout": list(layout),
        "images": {name: [_cell(cell) for cell in judged[name]] for name in _COLUMNS if name in judged}
        | {
            "score": score(values),
            "n_flags": n_flags,
            "pictures": [record.pictures for record in own],
            "faults": [record.faults for record in own],
            "file": [None if pandas.isna(path) else path.rpartition("/")[2] for path in judged["path"]],
        },
        "cells": _cells(cells),
        "order": worst_first(judged, values),
        "metrics": list(described),
        "values": {name: [_rounded(value) for value in values[name]] for name in values},
        "positions": {name: [_rounded(value) for value in positions[name]] for name in positions},
        "parameters": _parameters(own),
        "files": _files(ids, files),
        "events": [event.images for event in flow],
        "decisionColumns": list(DECISION_COLUMNS),
        "decisions": listed,
    }


def embed(data: Any) -> str:
    r"""Write data as JSON that can stand inside an HTML script element, whatever texts are in it.

    Examples
    --------
    >>> embed("</script><!--")
    '"\\u003c/script>\\u003c!--"'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _fences(
    metric: Metric, values: pandas.Series, positions: pandas.Series, outlier_z: float
) -> list[float | None]:
    """Give the lower and the upper value from which an image is flagged.

    Scores are linear in the value, or in its logarithm, so two images tell the value of any score. Where they
    depend on the field strength there is no such value.
    """
    if metric.by_field_strength:
        return [None, None]
    known = positions.notna() & (values > 0) if metric.logarithmic else positions.notna()
    scaled = numpy.log(values[known]) if metric.logarithmic else values[known]
    first, last = scaled.idxmin(), scaled.idxmax()
    if positions[first] == positions[last]:
        return [None, None]
    slope = (scaled[last] - scaled[first]) / (positions[last] - positions[first])
    centre = scaled[first] - slope * positions[first]
    ends = [centre - outlier_z * slope, centre + outlier_z * slope]
    low, high = (_rounded(math.exp(end) if metric.logarithmic else end) for end in ends)
    return [low if metric.bad in ("low", "both") else None, high if metric.bad in ("high", "both") else None]


def _parameters(records: Sequence[ImageRecord]) -> list[dict[str, Any]]:
    """Part the parameters of each step into common and different ones."""
    parts = []
    for step, title in _STEPS.items():
        common, different = share_parameters(record.parameters.get(step, {}) for record in records)
        if common or any(different):
            own = {place: row for place, row in enumerate(different) if row}
            parts.append({"title": title, "common": common, "different": own})
    return parts


def _files(ids: Sequence[str], files: pandas.DataFrame | None) -> list[list[list[str | None]]]:
    """List step, path and checksum of the files of each image."""
    if files is None:
        return [[] for _ in ids]
    listed: dict[str, list[list[str | None]]] = {}
    for row in files[["image_id", "step", "path", "sha256"]].itertuples(index=False, name=None):
        listed.setdefault(row[0], []).append([_cell(cell) for cell in row[1:]])
    return [listed.get(image_id, []) for image_id in ids]


def _cells(listed: pandas.DataFrame | None) -> dict[str, list[list[Any]]]:
    """List, by participant, table, variable, value and outcome of the cells not used as they stand."""
    cells: dict[str, list[list[Any]]] = {}
    for row in () if listed is None else listed.to_dict("records"):
        names = row["participants"]
        for name in [] if pandas.isna(names) else names.split():
            cells.setdefault(name, []).append([_cell(row[key]) for key in _LISTED])
    return cells


def _decisions(
    cohort: str, judged: pandas.DataFrame, decisions: Sequence[Mapping[str, str]] | None
) -> list[dict[str, str | None]]:
    """List the decisions that the study was run with, as rows of exclude.tsv."""
    if decisions is not None:
        return [{name: _cell(row[name]) for name in DECISION_COLUMNS} for row in decisions]
    rows = judged[judged["decision"].notna()].to_dict("records")
    return [
        {
            "cohort": cohort,
            **{name: _cell(row[name]) for name in ("participant_id", "session_id", "decision")},
            "reason": _cell(row["decision_reason"]),
            "who": _cell(row["decided_by"]),
            "date": _cell(row["decided_on"]),
        }
        for row in rows
    ]


def _digest(cohort: str, ids: Sequence[str], decisions: Sequence[Mapping[str, str | None]]) -> str:
    """Tell apart cohorts of the same name, and pages of one cohort with different lists of decisions.

    Browsers keep the notes of all pages on a disk in one place, and notes on an earlier list must not act on
    a later one. Rows on other cohorts do not count: no note here can contradict them.
    """
    rows = sorted(json.dumps(row, sort_keys=True) for row in decisions if row["cohort"] in (None, cohort))
    return hashlib.sha256(json.dumps([sorted(ids), rows]).encode()).hexdigest()[:12]


def _rounded(value: Any) -> float | None:
    """Give a number with five significant digits; None for a missing one."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def _cell(cell: Any) -> Any:
    """Give a cell of a table as JSON has it."""
    if pandas.isna(cell) or cell == "":
        return None
    if isinstance(cell, (bool, numpy.bool_)):
        return str(cell)
    if isinstance(cell, (int, float, numpy.number)):
        number = float(cell)
        return int(number) if number.is_integer() else number
    return str(cell)
