"""Classification metrics of runs, from their probabilities on one set of participants.

AD is the positive class (label 1), CN the negative one (label 0). A metric that needs a class of which the
set has no participant is NaN: it is not defined, and no other number may stand for it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy
from numpy.typing import ArrayLike

from rhvae_mri.io.errors import StudyError

#: The metrics of `metrics_by_run`, in the order of the study's tables.
METRICS = ("sensitivity", "specificity", "balanced_accuracy", "auc")

#: An image is called AD when its probability of AD is larger than this. For two classes that is the class
#: of the larger probability, and a tie goes to CN, the class of index 0, as it does in `numpy.argmax`.
THRESHOLD = 0.5


class ConfusionCounts(NamedTuple):
    """Numbers of images by true class and by predicted class: of one run, or arrays with one for each run."""

    true_positives: Any
    false_negatives: Any
    true_negatives: Any
    false_positives: Any


def checked_predictions(labels: ArrayLike, probabilities: ArrayLike) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return labels as booleans (AD is true) and probabilities as float64, or say what is wrong with them."""
    truth = numpy.asarray(labels)
    chance = numpy.asarray(probabilities, dtype=numpy.float64)
    if truth.ndim != 1 or truth.shape != chance.shape[-1:]:
        raise StudyError(f"There are {truth.size} labels for {chance.size} probabilities.")
    known = numpy.isin(truth, (0, 1))
    if not known.all():
        raise StudyError(f"Labels are 1 (AD) or 0 (CN), but there is also {truth[~known][0]}.")
    wrong = ~((chance >= 0) & (chance <= 1))
    if wrong.any():
        raise StudyError(
            f"{wrong.sum()} of {chance.size} probabilities are not numbers between 0 and 1.",
            cause="The network gave NaN, or its outputs were not turned into probabilities.",
        )
    return truth.astype(bool), chance


def confusion_counts(labels: ArrayLike, probabilities: ArrayLike) -> ConfusionCounts:
    """Count right and wrong predictions of each run (all axes but the last); a probability of 0.5 is CN."""
    truth, chance = checked_predictions(labels, probabilities)
    called = chance > THRESHOLD
    pairs = ((truth, called), (truth, ~called), (~truth, ~called), (~truth, called))
    return ConfusionCounts(*((true & predicted).sum(axis=-1) for true, predicted in pairs))


def area_under_curve(labels: ArrayLike, probabilities: ArrayLike) -> Any:
    """Return the area under the ROC curve of each run (all axes but the last); NaN where a class is absent.

    It is the probability that a random AD image has a larger value than a random CN image, where an equal
    value counts one half (the Mann-Whitney statistic). From ranks it is exact up to one division, which the
    trapezoids of `sklearn.metrics.roc_auc_score` are not.
    """
    from scipy.stats import rankdata

    truth, chance = checked_predictions(labels, probabilities)
    n_ad = int(truth.sum())
    if n_ad in (0, len(truth)):
        return numpy.full(chance.shape[:-1], numpy.nan)
    ranks = rankdata(chance, axis=-1)[..., truth].sum(axis=-1)
    return (ranks - n_ad * (n_ad + 1) / 2) / (n_ad * (len(truth) - n_ad))


def metrics_by_run(labels: ArrayLike, probabilities: ArrayLike) -> dict[str, Any]:
    """Return each of `METRICS` for each run (all axes but the last), as fractions or NaN."""
    found, missed, rejected, alarms = confusion_counts(labels, probabilities)
    with numpy.errstate(invalid="ignore"):  # 0 / 0 where a class is absent
        sensitivity, specificity = found / (found + missed), rejected / (rejected + alarms)
    values = (
        sensitivity,
        specificity,
        (sensitivity + specificity) / 2,
        area_under_curve(labels, probabilities),
    )
    return dict(zip(METRICS, values, strict=True))


def classification_metrics(labels: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """Compute all metrics of one run on one set: fractions between 0 and 1, or NaN.

    ``labels`` are 1 for AD, 0 for CN; ``probabilities`` of AD are between 0 and 1. StudyError if the lengths
    differ, or a label or a probability is not such a number.
    """
    return {name: float(value) for name, value in metrics_by_run(labels, probabilities).items()}
