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


def metrics_by_run(labels: ArrayLike, probabilities: ArrayLike) -> dict[str, Any]:
    """Return each of `METRICS` for each run (all axes but the last), as fractions or NaN.

    The area under the ROC curve is the probability that a random AD image has a larger value than a random CN
    image, where an equal value counts one half (the Mann-Whitney statistic). From ranks it is exact up to one
    division, which the trapezoids of `sklearn.metrics.roc_auc_score` are not.
    """
    from scipy.stats import rankdata

    truth, chance = checked_predictions(labels, probabilities)
    n_ad, n = int(truth.sum()), len(truth)
    area = numpy.full(chance.shape[:-1], numpy.nan)
    if 0 < n_ad < n:
        ranks = rankdata(chance, axis=-1)[..., truth].sum(axis=-1)
        area = (ranks - n_ad * (n_ad + 1) / 2) / (n_ad * (n - n_ad))
    found, missed, rejected, alarms = confusion_counts(labels, probabilities)
    with numpy.errstate(invalid="ignore"):  # 0 / 0 where a class is absent
        sensitivity, specificity = found / (found + missed), rejected / (rejected + alarms)
    values = sensitivity, specificity, (sensitivity + specificity) / 2, area
    return dict(zip(METRICS, values, strict=True))
