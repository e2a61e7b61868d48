"""Classification metrics of one run, from its probabilities on one set of participants.

AD is the positive class (label 1), CN the negative one (label 0). A metric that needs a class of which the
set has no participant is NaN: it is not defined, and no other number may stand for it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy
from numpy.typing import ArrayLike

from rhvae_mri.errors import StudyError

#: The metrics of `classification_metrics`, in the order of the study's tables.
METRICS = ("sensitivity", "specificity", "balanced_accuracy", "auc")

#: An image is called AD when its probability of AD is larger than this. For two classes that is the class
#: of the larger probability, and a tie goes to CN, the class of index 0, as it does in `numpy.argmax`.
THRESHOLD = 0.5


class ConfusionCounts(NamedTuple):
    """Numbers of images by true class and by predicted class."""

    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int


def checked_predictions(labels: ArrayLike, probabilities: ArrayLike) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Check labels and probabilities and return them as arrays.

    Parameters
    ----------
    labels : array_like of shape (n,)
        True classes: 1 for AD, 0 for CN.
    probabilities : array_like of shape (n,)
        Probabilities of AD, between 0 and 1.

    Returns
    -------
    labels : numpy.ndarray of bool, shape (n,)
        True for AD.
    probabilities : numpy.ndarray of float64, shape (n,)
        The probabilities.

    Raises
    ------
    StudyError
        If the lengths differ, a label is neither 0 nor 1, or a probability is missing or outside [0, 1].
    """
    truth = numpy.asarray(labels)
    chance = numpy.asarray(probabilities, dtype=numpy.float64)
    if truth.ndim != 1 or truth.shape != chance.shape:
        raise StudyError(f"There are {truth.size} labels for {chance.size} probabilities.")
    if not numpy.isin(truth, (0, 1)).all():
        raise StudyError(
            f"Labels are 1 (AD) or 0 (CN), but there is also {truth[~numpy.isin(truth, (0, 1))][0]}."
        )
    wrong = ~((chance >= 0) & (chance <= 1))
    if wrong.any():
        raise StudyError(
            f"{wrong.sum()} of {chance.size} probabilities are not numbers between 0 and 1.",
            cause="The network gave NaN, or its outputs were not turned into probabilities.",
        )
    return truth.astype(bool), chance


def confusion_counts(labels: ArrayLike, probabilities: ArrayLike) -> ConfusionCounts:
    """Count right and wrong predictions in each class at the probability 0.5.

    Parameters
    ----------
    labels, probabilities : array_like of shape (n,)
        As for `checked_predictions`.

    Returns
    -------
    ConfusionCounts
        The four counts. A probability of exactly 0.5 counts as CN.
    """
    truth, chance = checked_predictions(labels, probabilities)
    called = chance > THRESHOLD
    return ConfusionCounts(
        true_positives=int((truth & called).sum()),
        false_negatives=int((truth & ~called).sum()),
        true_negatives=int((~truth & ~called).sum()),
        false_positives=int((~truth & called).sum()),
    )


def sensitivity(counts: ConfusionCounts) -> float:
    """Return the fraction of AD images called AD; NaN where there is no AD image."""
    return _fraction(counts.true_positives, counts.true_positives + counts.false_negatives)


def specificity(counts: ConfusionCounts) -> float:
    """Return the fraction of CN images called CN; NaN where there is no CN image."""
    return _fraction(counts.true_negatives, counts.true_negatives + counts.false_positives)


def balanced_accuracy(counts: ConfusionCounts) -> float:
    """Return the mean of sensitivity and specificity; NaN where a class is absent."""
    return (sensitivity(counts) + specificity(counts)) / 2


def area_under_curve(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Compute the area under the receiver operating characteristic curve.

    Parameters
    ----------
    labels, probabilities : array_like of shape (n,)
        As for `checked_predictions`.

    Returns
    -------
    float
        The probability that a random AD image has a larger value than a random CN image, where an equal
        value counts one half (the Mann-Whitney statistic); NaN where a class is absent.
    """
    truth, chance = checked_predictions(labels, probabilities)
    positive, negative = chance[truth], numpy.sort(chance[~truth])
    if not (len(positive) and len(negative)):
        return float("nan")
    below = numpy.searchsorted(negative, positive, side="left")
    not_above = numpy.searchsorted(negative, positive, side="right")
    return float((below + not_above).sum() / (2 * len(positive) * len(negative)))


def classification_metrics(labels: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """Compute all metrics of a run on one set.

    Parameters
    ----------
    labels, probabilities : array_like of shape (n,)
        As for `checked_predictions`.

    Returns
    -------
    dict of str to float
        The metrics named in `METRICS`, as fractions between 0 and 1 or NaN.

    Examples
    --------
    >>> classification_metrics([1, 1, 0, 0], [0.9, 0.4, 0.2, 0.1])
    {'sensitivity': 0.5, 'specificity': 1.0, 'balanced_accuracy': 0.75, 'auc': 1.0}
    """
    counts = confusion_counts(labels, probabilities)
    values = (
        sensitivity(counts),
        specificity(counts),
        balanced_accuracy(counts),
        area_under_curve(labels, probabilities),
    )
    return dict(zip(METRICS, values, strict=True))


def _fraction(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
