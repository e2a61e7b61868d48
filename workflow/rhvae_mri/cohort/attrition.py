"""Where images are lost, and why: from what the conversion promised to what passed the quality control."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

#: What became of an image, in the order of the steps; the last one is left.
NOT_CONVERTED = "not converted"
LEFT_OUT = "left out"
FAULT = "fault"
FAILED = "failed"
PASSED = "passed"

#: Name of each step with the fate of the images that it loses.
STEPS = (
    ("promised by the download", None),
    ("converted", NOT_CONVERTED),
    ("kept for preprocessing", LEFT_OUT),
    ("preprocessed without a fault", FAULT),
    ("passed quality control", FAILED),
)

#: Name of an unknown diagnosis in the tables.
UNKNOWN = "unknown"

_NO_REASON = "no reason recorded"

# what an auditor did to an image, the reason, who decided and when
_Decision = tuple[str, str | None, str | None, str | None]

# what the table of images says of an image that an auditor replaced: the reason, who decided, and when
_REPLACED = re.compile(r"^replaced by hand: (.*) \((.*), (\d{4}-\d\d-\d\d)\)$")

# a measured value or a count would make each reason a group of its own; a bound is the same for all
_VALUE = re.compile(r" \S+(?= is (?:below|above) )")
_NUMBER = re.compile(r"(?<!below )(?<!above )(?<![\w.-])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?:x\d+)*(?!\w|\.\d)")


@dataclass
class Event:
    """A row of the flow: images (rows of their table) at a step, and the reason, with who decided and when.

    The event is ``count`` for the images that have come so far, ``loss`` for those lost at this step for one
    reason, and ``decision`` for those that an auditor kept although a check failed, or confirmed.
    """

    step: str
    event: str
    images: list[int]
    reason: str | None = None
    decided_by: str | None = None
    decided_on: str | None = None
    by_diagnosis: dict[str, int] = field(default_factory=dict)
    n_participants: int = 0


def judge_images(
    images: pandas.DataFrame, quality: pandas.DataFrame, metrics: pandas.DataFrame
) -> pandas.DataFrame:
    """Say of each image what became of it, and why."""
    import pandas

    verdicts = quality.rename(columns={"status": "verdict", "reason": "verdict_reason"})
    verdicts = verdicts.drop(columns=["participant_id", "session_id"], errors="ignore")
    for name in ("decision", "decision_reason", "decided_by", "decided_on", "flags", "pass_probability"):
        if name not in verdicts:
            verdicts[name] = None
    faults = (
        metrics[["image_id", "fault"]] if "fault" in metrics else metrics[["image_id"]].assign(fault=None)
    )
    table = images
    for other in (verdicts, faults):
        table = table.merge(other, on="image_id", how="left", validate="one_to_one")
    fates = pandas.DataFrame(map(_fate, table.to_dict("records")), columns=["fate", "why"], dtype=object)
    return table.assign(**fates)


def attrition_flow(judged: pandas.DataFrame) -> list[Event]:
    """Follow the images through the steps."""
    events: list[Event] = []
    remaining = list(range(len(judged)))
    rows = judged.to_dict("records")
    for step, fate in STEPS:
        losses = [place for place in remaining if rows[place]["fate"] == fate]
        events += _losses(step, losses, rows)
        remaining = [place for place in remaining if rows[place]["fate"] != fate]
        if fate == FAILED:
            events += _decided(step, "decision", remaining, rows)
        events.append(Event(step, "count", remaining))
    for event in events:
        diagnoses = [_text(rows[place]["diagnosis"]) or UNKNOWN for place in event.images]
        event.by_diagnosis = {name: diagnoses.count(name) for name in sorted(set(diagnoses))}
        event.n_participants = len({rows[place]["participant_id"] for place in event.images})
    return events


def attrition_table(flow: list[Event], judged: pandas.DataFrame) -> pandas.DataFrame:
    """Write the flow as a table."""
    import pandas

    ids = judged["image_id"].tolist()
    return pandas.DataFrame(
        {
            "step": event.step,
            "event": event.event,
            "reason": event.reason,
            "decided_by": event.decided_by,
            "decided_on": event.decided_on,
            "n_images": len(event.images),
            "n_participants": event.n_participants,
            **{f"n_{name}": event.by_diagnosis.get(name, 0) for name in diagnoses_of(flow)},
            "image_ids": None if event.event == "count" else " ".join(ids[place] for place in event.images),
        }
        for event in flow
    )


def diagnoses_of(flow: Sequence[Event]) -> list[str]:
    """Give the diagnoses of the cohort in the order of the tables: known ones by name, unknown last."""
    names = {name for event in flow for name in event.by_diagnosis}
    return sorted(names, key=lambda name: (name == UNKNOWN, name))


def reason_group(reason: str | None) -> str:
    """Give the group of a reason: what stands before the first colon, without measured values and counts.

    Examples
    --------
    >>> reason_group("DICOM series unreadable: file 7: truncated")
    'DICOM series unreadable'
    >>> reason_group("pattern 0.112 is below 0.35; scalp 0.015 is below 0.2")
    'pattern is below 0.35; scalp is below 0.2'
    >>> reason_group("The image has 3 voxels that are NaN or infinite (0.1 %).")
    'The image has … voxels that are NaN or infinite (… %).'
    """
    text = (reason or _NO_REASON).partition(":")[0].strip()
    return _NUMBER.sub("…", _VALUE.sub("", text)) or _NO_REASON


def _fate(row: dict[str, Any]) -> tuple[str, str | None]:
    if row["status"] != "kept":
        return (LEFT_OUT if _text(row["path"]) else NOT_CONVERTED), _text(row["reason"])
    if fault := _text(row["fault"]):
        return FAULT, fault
    verdict, reason = _text(row["verdict"]), _text(row["verdict_reason"])
    if verdict is None:
        return FAILED, "no verdict of the quality control"
    return PASSED if verdict == "passed" else FAILED, reason


def _losses(step: str, places: list[int], rows: list[dict[str, Any]]) -> Iterator[Event]:
    """Yield the losses of one step: those by a check, then those by an auditor."""
    groups = defaultdict(list)
    for place in places:
        if _decision(rows[place]) is None:
            groups[reason_group(rows[place]["why"])].append(place)
    for reason, members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        yield Event(step, "loss", members, reason)
    yield from _decided(step, "loss", places, rows)


def _decided(step: str, event: str, places: list[int], rows: list[dict[str, Any]]) -> Iterator[Event]:
    """Yield the decisions of auditors on some images, one row for each reason, person and day."""
    groups = defaultdict(list)
    for place in places:
        if (decision := _decision(rows[place])) is not None:
            groups[decision].append(place)
    for (verb, reason, who, when), members in groups.items():
        yield Event(step, event, members, f"{verb} by hand: {reason or _NO_REASON}", who, when)


def _decision(row: dict[str, Any]) -> _Decision | None:
    """Give the decision of an auditor on an image; None if no one decided."""
    if row["fate"] == LEFT_OUT:
        replaced = _REPLACED.match(_text(row["why"]) or "")
        return ("replaced", replaced[1], replaced[2], replaced[3]) if replaced else None
    verb = {"keep": "kept", "exclude": "excluded"}.get(_text(row["decision"]) or "")
    # a fault decides the fate of an image, whatever the auditor says
    if verb is None or row["fate"] == FAULT or (verb == "kept" and row["fate"] != PASSED):
        return None
    return verb, _text(row["decision_reason"]), _text(row["decided_by"]), _text(row["decided_on"])


def _text(cell: Any) -> str | None:
    return None if cell is None or cell != cell or str(cell) == "" else str(cell)
