"""Where the uncertainty of a result comes from: participants, runs, and single pairs of both.

A metric is a mean over participants and runs of what one run makes of one participant: right or wrong, or,
for the area under the ROC curve, the placement of one image among those of the other class. With random
effects of participants, of runs and of single pairs, the variance of that mean is the sum of three parts, and
the classical analysis of variance estimates each without bias, also with few runs.

Runs that share a replicate (synthetic images of one generator, one draw of a training set) are not
independent; the means over the runs of each replicate are (`average_replicates`), and take the place of runs.
The part "of runs" is then of replicates and of the runs in them together.

References
----------
E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44, 1988 (placements).
F. E. Satterthwaite, Biometrics Bulletin 2, 1946 (degrees of freedom).
N. A. Obuchowski, H. E. Rockette, Communications in Statistics 24, 1995 (readers, here runs, and cases).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy
from numpy import ndarray
from scipy.stats import rankdata

from rhvae_mri.statistics.metrics import THRESHOLD

#: What AD and CN images together count in each metric.
SHARES = {"sensitivity": (1.0, 0.0), "specificity": (0.0, 1.0), "balanced_accuracy": (0.5, 0.5)}
SHARES |= {"auc": (1.0, 1.0)}


class VarianceParts(NamedTuple):
    """Estimated variances of a mean over participants and runs, or of the difference of two such means.

    Those over participants (with these runs) and over runs (with these participants) hold the part of single
    pairs of both. Those over runs and of pairs are NaN for a single run; a difference has those of both
    conditions.
    """

    by_class: tuple[float, float]  # over participants with AD and CN; 0 where these do not count
    by_runs: tuple[float, ...]
    by_pairs: tuple[float, ...]
    freedom: int  # of the participants: how many count, less one for each diagnosis
    n_runs: tuple[int, ...]  # of each condition

    @property
    def participants(self) -> float:
        """Over the participants of all diagnoses that count."""
        return sum(self.by_class)

    @property
    def runs(self) -> float:
        """Over the runs of all conditions, which are independent of each other."""
        return sum(self.by_runs)

    @property
    def pairs(self) -> float:
        """Of single pairs of participant and run, of all conditions."""
        return sum(self.by_pairs)

    @property
    def total(self) -> float:
        """Over participants and runs together; over participants alone for a single run.

        It is at least the part of single pairs, below which an estimate falls by chance only.
        """
        if numpy.isnan(self.runs):
            return self.participants
        return max(self.participants + self.runs - self.pairs, self.pairs)

    @property
    def degrees_of_freedom(self) -> float:
        """Of the total, by Satterthwaite's approximation; infinite where nothing varies, or NaN."""
        if self.freedom < 1:
            return numpy.nan
        if numpy.isnan(self.runs):
            return float(self.freedom)
        terms = self.participants**2 / self.freedom
        for runs, pairs, n_runs in zip(self.by_runs, self.by_pairs, self.n_runs, strict=True):
            terms += (runs**2 + pairs**2 / self.freedom) / (n_runs - 1)
        return self.total**2 / terms if terms > 0 else numpy.inf


def outcomes(labels: ndarray, probabilities: ndarray, metric: str) -> ndarray:
    """Return what each run makes of each image, shape (n_runs, n_images): a metric is their mean.

    1 for an image that is called what it is, else 0. For the area under the ROC curve the placement: of an AD
    image the fraction of CN images below it, of a CN image the fraction of AD images above it, where equal
    ones count one half.
    """
    if metric != "auc":
        return ((probabilities > THRESHOLD) == labels).astype(float)
    below = rankdata(probabilities, axis=1)
    with numpy.errstate(invalid="ignore"):  # 0 / 0 where a class is absent
        for members in (labels, ~labels):
            below[:, members] -= rankdata(probabilities[:, members], axis=1)
            below[:, members] /= (~members).sum()
    return numpy.where(labels, below, 1 - below)


def mean_by_run(labels: ndarray, results: ndarray, metric: str) -> ndarray:
    """Return a metric of each run, or a difference of two, from its outcomes; NaN where it is not defined."""
    # the mean placement of the AD images is that of the CN images, too
    classes = [(labels, 1.0)] if metric == "auc" else _classes(labels, metric)
    if not all(members.any() for members, _ in classes):
        return numpy.full(len(results), numpy.nan)
    return numpy.sum([share * results[:, members].mean(axis=1) for members, share in classes], axis=0)


def split_variance(
    labels: ndarray, results: ndarray, metric: str, reference: ndarray | None = None
) -> VarianceParts:
    """Estimate the parts of a metric's variance, in squares of fractions.

    ``results`` is from `outcomes`, or a difference of two such. With a ``reference``, the outcomes of another
    condition, the parts are those of the difference to it: participants are the same, so that theirs is of
    the differences, and runs are others, whatever their numbers, so that theirs add up. Participants are a
    sample within each diagnosis. NaN where a diagnosis that counts has fewer than two.
    """
    conditions = [results] if reference is None else [results, reference]
    n_runs, classes = tuple(map(len, conditions)), _classes(labels, metric)
    freedom = int(sum(members.sum() - 1 for members, _ in classes))
    by_image = results.mean(axis=0) - (0.0 if reference is None else reference.mean(axis=0))
    of_ad, of_cn = (
        share**2 * _variance_of_mean(by_image[members]) if share else 0.0
        for members, share in zip((labels, ~labels), SHARES[metric], strict=True)
    )
    if min(n_runs) < 2:
        nothing = (numpy.nan,) * len(conditions)
        return VarianceParts((of_ad, of_cn), nothing, nothing, freedom, n_runs)
    runs = [float(mean_by_run(labels, one, metric).var(ddof=1) / len(one)) for one in conditions]
    pairs = [
        float(sum(share**2 * _of_pairs(one[:, members]) for members, share in classes)) for one in conditions
    ]
    return VarianceParts((of_ad, of_cn), tuple(runs), tuple(pairs), freedom, n_runs)


def average_replicates(results: ndarray, replicates: ndarray) -> ndarray:
    """Return the mean outcomes of the runs of each replicate, shape (n_replicates, n_images).

    ``replicates`` is the number of each run's replicate, shape (n_runs,); each has as many runs.
    """
    return numpy.stack([results[replicates == number].mean(axis=0) for number in numpy.unique(replicates)])


def variance_of_replicates(by_run: ndarray, replicates: ndarray) -> float:
    """Estimate how much of the variance of the mean over runs is the replicates' own.

    ``by_run`` is the metric of each run. What the runs within a replicate contribute is taken off; by chance
    that leaves less than nothing, which is 0 then. NaN where no replicate has two runs, or there is one only.
    """
    groups = [by_run[replicates == number] for number in numpy.unique(replicates)]
    n_replicates, n_runs = len(groups), len(by_run)
    if n_replicates < 2 or n_runs == n_replicates:
        return numpy.nan
    between = numpy.var([group.mean() for group in groups], ddof=1) / n_replicates
    within = numpy.mean([group.var(ddof=1) for group in groups]) / n_runs
    return max(float(between - within), 0.0)


def _variance_of_mean(values: ndarray) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else numpy.nan


def _of_pairs(of_class: ndarray) -> float:
    """The variance of a mean over runs and images of one diagnosis, that single pairs of both contribute."""
    n_runs, n = of_class.shape
    if n < 2:
        return numpy.nan
    rest = of_class - of_class.mean(axis=0) - of_class.mean(axis=1, keepdims=True) + of_class.mean()
    return (rest**2).sum() / ((n_runs - 1) * (n - 1)) / (n * n_runs)


def contributions(labels: ndarray, results: ndarray, metric: str) -> ndarray:
    """Return what each image adds to a metric that is a mean over images, as all but the area are."""
    parts = numpy.zeros(len(labels))
    for members, share in _classes(labels, metric):
        parts[members] = share * results[:, members].mean(axis=0) / max(members.sum(), 1)
    return parts


def _classes(labels: ndarray, metric: str) -> list[tuple[ndarray, float]]:
    """The images of each diagnosis that counts in a metric, and what they count."""
    both = zip((labels, ~labels), SHARES[metric], strict=True)
    return [(members, share) for members, share in both if share]
