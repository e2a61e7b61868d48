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
from rhvae_mri.cohort.decisions import COLUMNS as DECISION_COLUMNS
from rhvae_mri.quality.definitions import METRIC_NAMES, METRICS, Metric
from rhvae_mri.quality.outliers import robust_scores

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

#: What tells who decided what on an image, in the order of the columns of exclude.tsv.
_DECISION = ("decision", "decision_reason", "decided_by", "decided_on")

#: Columns of the judged images that the script gets as they are.
_COLUMNS = (
    *("image_id", "participant_id", "session_id", "diagnosis", "site", "age", "sex", "field_strength"),
    *("fate", "why", "flags", *_DECISION),
)


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
    values: pandas.DataFrame, positions: pandas.DataFrame, thresholds: Mapping[str, float], outlier_z: float
) -> list[dict[str, Any]]:
    """Say of each metric what it is, where its images lie, and which bounds apply."""
    known = {metric.name: metric for metric in METRICS}
    described = []
    for name, column in values.items():
        metric = known.get(name)
        entry: dict[str, Any] = {"name": name, "meaning": "", "unit": ""}
        if metric:
            entry |= {"meaning": metric.meaning, "unit": metric.unit if metric.unit != "1" else ""}
        elif name == DEEP_SCORE:
            entry["meaning"] = "Probability of a good registration, from the deep quality control."
        if column.notna().any():
            entry |= {
                "threshold": thresholds.get(name),
                "median": _rounded(column.median()),
                "fences": [None, None],
                "low": _rounded(column.min()),
                "high": _rounded(column.max()),
            }
            if metric and name in positions:
                entry["fences"] = _fences(metric, column, positions[name], outlier_z)
        described.append(entry)
    return described


def page_data(
    cohort: str,
    judged: pandas.DataFrame,
    values: pandas.DataFrame,
    positions: pandas.DataFrame,
    described: Sequence[Mapping[str, Any]],
    records: Mapping[str, ImageRecord],
    flow: Sequence[Event],
    files: pandas.DataFrame,
    decisions: Sequence[Mapping[str, str]] | None,
    size: tuple[int, int],
    listed: pandas.DataFrame,
) -> dict[str, Any]:
    """Gather what the page's script needs."""
    ids = judged["image_id"].tolist()
    standing = _decisions(cohort, judged, decisions)
    own = [records.get(image_id, ImageRecord()) for image_id in ids]
    score = values[DEEP_SCORE].fillna(values.get(FALLBACK_SCORE, numpy.nan)).map(_rounded).astype(float)
    n_flags = judged["flags"].astype(object).fillna("").str.count(r"[^;\s][^;]*")
    by_participant = listed.assign(participant_id=listed["participants"].astype(object).str.split())
    return {
        "cohort": cohort,
        "storageKey": f"rhvae-mri audit {cohort} {_digest(cohort, ids, standing)}",
        "layout": size,
        "images": _plain(judged[[name for name in _COLUMNS if name in judged]]).to_dict("list")
        | {
            "score": _numbers(score),
            "n_flags": n_flags.tolist(),
            "pictures": [record.pictures for record in own],
            "faults": [record.faults for record in own],
            "file": [None if pandas.isna(path) else path.rpartition("/")[2] for path in judged["path"]],
        },
        "cells": _rows_by(
            "participant_id",
            by_participant.explode("participant_id"),
            ["table", "variable", "value", "outcome"],
        ),
        "order": _worst_first(judged["fate"], n_flags, score),
        "metrics": described,
        "values": {name: _numbers(column) for name, column in values.items()},
        "positions": {name: _numbers(column) for name, column in positions.items()},
        "parameters": _parameters(own),
        "files": _rows_by("image_id", files, ["step", "path", "sha256"]),
        "events": [event.images for event in flow],
        "decisionColumns": DECISION_COLUMNS,
        "decisions": standing,
    }


def _worst_first(fate: pandas.Series, n_flags: pandas.Series, score: pandas.Series) -> list[int]:
    """Order the images: faults and failures, then by the number of flags, then by score, the lowest first."""
    rank = fate.map({FAULT: 0, FAILED: 0, PASSED: 1}).fillna(2)
    keys = pandas.DataFrame({"fate": rank, "flags": -n_flags, "score": score})
    return keys.sort_values(["fate", "flags", "score"], na_position="first").index.tolist()


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


def _decisions(
    cohort: str, judged: pandas.DataFrame, decisions: Sequence[Mapping[str, str]] | None
) -> list[dict[str, str | None]]:
    """List the decisions that the study was run with, as rows of exclude.tsv."""
    if decisions is None:
        decided = judged.loc[judged["decision"].notna(), ["participant_id", "session_id", *_DECISION]]
        decided.insert(0, "cohort", cohort)
        rows = decided.set_axis(DECISION_COLUMNS, axis=1)
    else:
        rows = pandas.DataFrame(decisions, columns=DECISION_COLUMNS)
    return _plain(rows).to_dict("records")


def _digest(cohort: str, ids: Sequence[str], decisions: Sequence[Mapping[str, str | None]]) -> str:
    """Tell apart cohorts of the same name, and pages of one cohort with different lists of decisions.

    Browsers keep the notes of all pages on a disk in one place, and notes on an earlier list must not act on
    a later one. Rows on other cohorts do not count: no note here can contradict them.
    """
    rows = sorted(json.dumps(row, sort_keys=True) for row in decisions if row["cohort"] in (None, cohort))
    return hashlib.sha256(json.dumps([sorted(ids), rows]).encode()).hexdigest()[:12]


def _rows_by(key: str, table: pandas.DataFrame, columns: list[str]) -> dict[str, list[list[Any]]]:
    """List some columns of a table's rows by the value of another column."""
    return {name: _plain(rows[columns]).to_numpy().tolist() for name, rows in table.groupby(key)}


def _plain(table: pandas.DataFrame) -> pandas.DataFrame:
    """Give the cells of a table as JSON has them, with None for a missing one."""
    return table.astype(object).where(table.notna() & (table != ""), None)


def _numbers(column: pandas.Series) -> list[float | None]:
    return [_rounded(value) for value in column]


def _rounded(value: float) -> float | None:
    """Give a number with five significant digits; None for a missing one."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
