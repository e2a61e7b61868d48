"""Whether intervals cover the truth and tests reject a true null hypothesis as often as they say.

Studies of two conditions are made up: a probit model of participants, runs, single pairs of both, and, where
stated, generators. All that is estimated is by the functions of the library.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy
from numpy import ndarray
from reporting import Bar, describe_machine, finish
from scipy.stats import norm

from rhvae_mri.statistics.inference import interval_over_resamples, t_test
from rhvae_mri.statistics.resampling import draw_resamples, redraw_runs, resample_mean
from rhvae_mri.statistics.variance import average_replicates, mean_by_run, outcomes, split_variance

METRIC = "balanced_accuracy"
#: Participants of each class, and runs.
SIZES = ((100, 20), (20, 10))
#: Standard deviations of runs and of single pairs; that of participants is 1.
RUN_SD, PAIR_SD = 0.4, 0.7
#: Margin of the mean participant at 76 % of balanced accuracy, and what one point of it is on this scale.
MARGIN = 0.9
POINT = 0.01 * numpy.hypot(1, numpy.hypot(RUN_SD, PAIR_SD)) / norm.pdf(MARGIN / 1.285)
MOST_REJECTED, LEAST_COVERED = 0.065, 0.93


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="print figures and bars as JSON in the last line")
    options = parser.parse_args()
    figures: dict[str, object] = {"studies": options.studies, "machine": describe_machine("numpy", "scipy")}
    bars = []
    for (n, n_runs), points, n_replicates, gain in product(SIZES, (0.0, 2.5), (1, 5), (0.0, 5.0)):
        rejected, covered, width = simulate(options.studies, n, n_runs, points, n_replicates, gain)
        name = f"{n}/{n} x {n_runs}, generator SD {points:g}, K = {n_replicates}, gain {gain:g}"
        figures[name] = {"rejected": rejected, "covered": covered, "width_percent": width}
        print(f"{name}: rejected {rejected:.3f}, covered {covered:.3f}, width {width:.1f} points", flush=True)
        if n_replicates > 1 or not points:
            bars.append(Bar(f"{name}: covered", covered, LEAST_COVERED, ">="))
            if not gain:
                bars.append(Bar(f"{name}: rejected", rejected, MOST_REJECTED, "<="))
    return finish(figures, bars, options.json)


def simulate(
    n_studies: int, n: int, n_runs: int, points: float, n_replicates: int, gain: float
) -> tuple[float, float, float]:
    """Give how often a difference is significant and inside its interval, and the interval's mean width.

    The second condition has a generator for each replicate, whose standard deviation is so many ``points`` of
    balanced accuracy, and a ``gain`` in points; the first is of real images.
    """
    labels = numpy.repeat([True, False], [n, n])
    replicates = numpy.arange(n_runs) % n_replicates if n_replicates > 1 else numpy.arange(n_runs)
    truth = _accuracy(gain, points) - _accuracy(0, 0)
    rejected, covered, widths = 0, 0, 0.0
    for study in range(n_studies):
        random = numpy.random.default_rng([study, n, n_replicates, int(points), int(gain)])
        person = random.normal(size=2 * n)
        generators = random.normal(scale=points * POINT, size=n_replicates)
        means = MARGIN + gain * POINT + generators[numpy.arange(n_runs) % n_replicates]
        made = _results(random, labels, person, means)
        real = _results(random, labels, person, numpy.full(n_runs, MARGIN))
        parts = split_variance(labels, average_replicates(made, replicates), METRIC, real)
        error, freedom = float(numpy.sqrt(parts.total)), parts.degrees_of_freedom
        difference = float((mean_by_run(labels, made, METRIC) - mean_by_run(labels, real, METRIC)).mean())
        resamples = draw_resamples(labels, n_runs, 400, study)
        other = redraw_runs(resamples, replicates, study + 1)
        resampled = _resampled(made, other) - _resampled(real, resamples)
        low, high = interval_over_resamples(resampled, error, freedom, 0.95)
        rejected += bool(t_test(difference, error, freedom) < 0.05)
        covered += low <= truth <= high
        widths += 100 * (high - low)
    return rejected / n_studies, covered / n_studies, widths / n_studies


def _accuracy(gain: float, points: float) -> float:
    """The true balanced accuracy."""
    spread = numpy.sqrt(1 + RUN_SD**2 + PAIR_SD**2 + (points * POINT) ** 2)
    return float(norm.cdf((MARGIN + gain * POINT) / spread))


def _results(random: numpy.random.Generator, labels: ndarray, person: ndarray, means: ndarray) -> ndarray:
    """Draw the outcomes of runs whose margins have these means, shape (n_runs, n_images)."""
    run = random.normal(scale=RUN_SD, size=(len(means), 1))
    pair = random.normal(scale=PAIR_SD, size=(len(means), len(labels)))
    score = numpy.where(labels, means[:, None], -means[:, None]) + person + run + pair
    return outcomes(labels, norm.cdf(score), METRIC)


def _resampled(results: ndarray, resamples) -> ndarray:
    return (
        sum(resample_mean(results, resamples, chosen) for chosen in (resamples.labels, ~resamples.labels)) / 2
    )


if __name__ == "__main__":
    raise SystemExit(main())
