"""The verdict on every image of a cohort: metrics, deep check, outliers, and the auditor's decisions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rhvae_mri.cohort.decisions import Decision, Decisions
from rhvae_mri.io.errors import StudyError
from rhvae_mri.quality.definitions import LIMITS
from rhvae_mri.quality.outliers import flag_outliers, robust_scores

if TYPE_CHECKING:
    import pandas

logger = logging.getLogger(__name__)

#: Columns of the quality table.
COLUMNS = (
    *("image_id", "participant_id", "session_id", *LIMITS),
    *("pass_probability", "deep_quality", "flags", "status", "reason"),
    *("decision", "decision_reason", "decided_by", "decided_on"),
)

#: The metric in which an image may also not be far below the others of its cohort.
AMONG_COHORT = "pattern"

#: Largest `intensity_peak` of an image that passes: beyond it the head lies in the darkest
#: fifth of the tensor. 63 simulated heads have 1.1 to 1.5, seven real ones 1.1 to 1.8 at 4 mm.
MAXIMUM_PEAK = 5.0

#: A `bias_range` that comes so near to 1 is that of no field at all.
NO_FIELD = 1e-6

#: The decisions that reach the verdict; `replace` has acted before the preprocessing.
_FINAL = ("keep", "exclude")


def check_quality(
    metrics: pandas.DataFrame,
    deep_quality: pandas.DataFrame,
    decisions: Decisions,
    *,
    limits: bool,
    outlier_z: float,
) -> pandas.DataFrame:
    """Judge every image of a cohort.

    Parameters
    ----------
    metrics, deep_quality : pandas.DataFrame
        The tables of `metrics.measure_quality` and `deep_quality.check_deep_quality`.
    decisions : Decisions
        The auditor's, see `rhvae_mri.cohort.decisions.read_decisions`.
    limits : bool
        Whether an image fails with less than `definitions.LIMITS` in one of these metrics, or far below the
        others of its cohort in `pattern`.
    outlier_z : float
        Metrics with a robust z-score from this on are named in `flags`, as is a bias field that is 1
        everywhere; but for `pattern` they fail no image.

    Returns
    -------
    pandas.DataFrame
        The table of `COLUMNS`, a row for each image in the order of ``metrics``. `status` is ``passed`` or
        ``failed``. An image fails if a step recorded a fault, a metric is below its limit, its brightest
        voxel leaves the head dark (`MAXIMUM_PEAK`), or the deep check failed; a check that was not run counts
        for nothing. The auditor overrides this: ``exclude`` fails an image and ``keep`` passes it, unless a
        fault left no image to keep.

    Raises
    ------
    StudyError
        If the two tables are not of the same images.

    Notes
    -----
    The limits lie between good and bad heads, real, painted and simulated, at 4 mm: `pattern` was 0.43 or
    more in good ones and 0.28 or less in those that were turned, reversed, not T1-weighted or no head;
    `brain_shown` 0.91 or more, 0.48 or less in cut heads; `scalp` 0.73 or more, 0 after brain extraction;
    `turn_margin` 0.26 or more. `benchmarks/README.md` counts the errors on other heads. In a cohort of one
    kind good heads had a score of -2.8 or more in `pattern`, bad ones -9 or less; in a mixture of scanners
    the spread is too large to decide anything.

    The default `outlier_z` of 6 is the smallest whole number that flags less than 2 % of 63 good images of
    one simulated study at 4 mm, judged in random groups of 10 or more. In three other cohorts it flagged none
    of 69 good images and all 12 spoiled ones (scores from 61), and all good images tilted by 8 degrees or
    shifted by 8 mm, but none shifted by 4 mm.
    """
    import pandas

    _check_same_images(metrics, deep_quality)
    deep = deep_quality.set_index("image_id")
    flags = flag_outliers(metrics, outlier_z)
    among = robust_scores(metrics)[AMONG_COHORT]
    rows = []
    for image, flag, score in zip(metrics.to_dict("records"), flags, among, strict=True):
        check = deep.loc[image["image_id"]]
        fault = None if pandas.isna(image["fault"]) else str(image["fault"])
        failures = [fault] if fault else _failures(image, check, LIMITS if limits else {})
        if not failures and limits and score <= -outlier_z:
            value = f"{AMONG_COHORT} {image[AMONG_COHORT]:.3f}"
            failures = [f"{value} is far below its cohort's (robust z {score:+.1f})"]
        if abs(image["bias_range"] - 1) <= NO_FIELD:
            flag = "; ".join(filter(None, ["the bias field is 1 everywhere", flag]))
        session = "" if pandas.isna(image["session_id"]) else image["session_id"]
        decision = decisions.find(image["participant_id"], session)
        row = {"pass_probability": check["pass_probability"], "deep_quality": check["status"], "flags": flag}
        rows.append(image | row | _judge("; ".join(failures), fault is not None, decision))
    _report_idle(decisions, metrics)
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def _failures(image: dict[str, Any], check: pandas.Series, bounds: Mapping[str, float]) -> list[str]:
    """Name what fails an image: metrics below their bounds, a dark head, the deep check."""
    low = [(name, bound) for name, bound in bounds.items() if not image[name] >= bound]
    failures = [f"{name} {image[name]:.3f} is below {bound:g}" for name, bound in low]
    peak = image["intensity_peak"]
    if not peak <= MAXIMUM_PEAK:  # in a tensor rescaled to [0, 1]
        failures.append(f"intensity_peak {peak:.3g} is not at most {MAXIMUM_PEAK:g}")
    if check["status"] == "failed":
        failures.append(f"deep quality check: {check['reason']}")
    return failures


def _judge(failures: str, faulty: bool, decision: Decision | None) -> dict[str, str | None]:
    """Give status, reason and decision of an image; ``failures`` is what the checks say against it."""
    if decision is None or decision.decision not in _FINAL:
        return {"status": "failed" if failures else "passed", "reason": failures or None}
    signed = {"decision": decision.decision, "decision_reason": decision.reason}
    signed |= {"decided_by": decision.who, "decided_on": decision.date}
    if decision.decision == "exclude":
        return {"status": "failed", "reason": f"excluded by hand: {decision}", **signed}
    if faulty:
        reason = f"{failures} The decision to keep it cannot be followed: there is no image."
        return {"status": "failed", "reason": reason, **signed}
    return {"status": "passed", "reason": f"kept by hand although {failures}" if failures else None, **signed}


def _check_same_images(metrics: pandas.DataFrame, deep_quality: pandas.DataFrame) -> None:
    names, deep_names = metrics["image_id"].tolist(), deep_quality["image_id"].tolist()
    if sorted(names) != sorted(deep_names) or len(set(names)) < len(names):
        different = sorted(set(names) ^ set(deep_names)) or ["some occur more than once"]
        raise StudyError(
            f"The metrics and the deep quality check are not of the same images: {', '.join(different)}.",
            cause="One of the two tables is older than the table of images.",
            remedy="Let the workflow make both again.",
        )


def _report_idle(decisions: Decisions, metrics: pandas.DataFrame) -> None:
    """Log the decisions that concern no image of the table: their images were left out before."""
    sessions = set(zip(metrics["participant_id"], metrics["session_id"].fillna(""), strict=True))
    sessions |= {(participant, "") for participant, _ in sessions}
    for name in sorted(decisions.entries.keys() - sessions):
        decision = decisions.entries[name].decision
        if decision in _FINAL:
            logger.warning(
                "The decision `%s` on %s has no effect: it has no image that was preprocessed.",
                decision,
                " ".join(name).strip(),
            )
