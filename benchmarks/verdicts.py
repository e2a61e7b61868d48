"""How often the verdict on a published number is wrong, and how often it is right, in simulated studies.

Each pair of studies is the same in truth: an image's score is the sum of its diagnosis, its participant, its
run, single pairs of both and, where stated, the generator; all of these are drawn anew for both. The
published study has 20 runs of one generator on 100 + 100 participants. Ours has as many or fewer, of one
generator or of several. Both go through the study's own functions, from predictions to verdicts.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy
import pandas
from reporting import Bar, describe_machine, finish, run_benchmark
from scipy import stats

from rhvae_mri.statistics.conditions import CONDITION
from rhvae_mri.statistics.estimates import estimate_performance
from rhvae_mri.statistics.metrics import METRICS, metrics_by_run
from rhvae_mri.statistics.predictions import SetPredictions
from rhvae_mri.statistics.published import N_PUBLISHED_RUNS, PUBLISHED_SIZES
from rhvae_mri.statistics.replication import NOT_REPRODUCED, REPRODUCED, compare_with_published

HIGHEST_PERCENT = 6.0
EFFECT = 0.9  # of the diagnosis
RUN, PAIR = 0.4, 0.7  # standard deviations; that of participants is 1
GENERATOR_POINTS = 2.5

#: Names of the settings: participants per class, runs and generators of ours, SD of a generator in points.
SETTINGS = {
    "100 + 100, 20 runs": (100, 20, 1, 0.0),
    "20 + 20, 10 runs": (20, 10, 1, 0.0),
    "100 + 100, 20 runs, generator left out": (100, 20, 1, GENERATOR_POINTS),
    "20 + 20, 10 runs, generator left out": (20, 10, 1, GENERATOR_POINTS),
    "100 + 100, 20 runs of 5 generators": (100, 20, 5, GENERATOR_POINTS),
    "20 + 20, 10 runs of 5 generators": (20, 10, 5, GENERATOR_POINTS),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=5_000, help="of each setting")
    parser.add_argument("--json", action="store_true", help="print figures and bars as JSON in the last line")
    options = parser.parse_args()
    start, figures, bars = time.perf_counter(), {}, []
    for number, (name, setting) in enumerate(SETTINGS.items()):
        found = simulate_verdicts(*setting, options.studies, seed=number)
        print(f"{name}: " + ", ".join(f"{key} {value:.2f}" for key, value in found.items()), flush=True)
        figures[name] = found
        if "left out" not in name:
            bars.append(Bar(f"false, {name}, in percent", found["false"], HIGHEST_PERCENT, "<="))
    figures |= {"wall_s": time.perf_counter() - start, "machine": describe_machine("numpy", "scipy")}
    return finish(figures, bars, options.json)


def simulate_verdicts(
    n: int, n_runs: int, n_generators: int, generator_points: float, n_studies: int, seed: int
) -> dict[str, float]:
    """Return what became of the balanced accuracies, in percent.

    They are the share of false verdicts "not reproduced" and twice its standard error, the share of right
    ones, the mean power and standard error that are stated, and the true standard deviation of a difference.
    """
    random = numpy.random.default_rng(seed)
    tables = [
        judge_studies(random, n, n_runs, n_generators, generator_points, min(500, n_studies - first), first)
        for first in range(0, n_studies, 500)
    ]
    table = pandas.concat(tables).query("metric == 'balanced_accuracy'")
    false = (table["verdict"] == NOT_REPRODUCED).mean()
    found = {
        "false": 100 * false,
        "plus_minus": 200 * numpy.sqrt(false * (1 - false) / len(table)),
        "reproduced": 100 * (table["verdict"] == REPRODUCED).mean(),
        "power": table["power_percent"].mean(),
        "se": table["difference_se_percent"].mean(),
        "true_se": table["difference_percent"].std(),
    }
    return {key: float(value) for key, value in found.items()}


def judge_studies(
    random: numpy.random.Generator,
    n: int,
    n_runs: int,
    n_generators: int,
    generator_points: float,
    n_studies: int,
    seed: int,
) -> pandas.DataFrame:
    """Draw pairs of studies and compare them, each as a condition of its own."""
    sizes = PUBLISHED_SIZES["ADNI"]
    labels, probabilities = draw_studies(random, (n, n), n_runs, n_generators, generator_points, n_studies)
    key = dict(
        zip(CONDITION, ("baseline", "train-full", "augmented", "rhvae", 0, "downsampled"), strict=True)
    )
    conditions = pandas.DataFrame([key | {"n_synthetic": number} for number in range(n_studies)])
    images, seeds = [str(number) for number in range(2 * n)], numpy.arange(n_runs)
    ours = SetPredictions("ADNI", "test", conditions, seeds, images, labels, probabilities, n_generators)
    by_run = metrics_by_run(*draw_studies(random, sizes, N_PUBLISHED_RUNS, 1, generator_points, n_studies))
    published = [
        conditions.drop(columns="resolution").assign(
            test_cohort="ADNI",
            metric=metric,
            published_mean_percent=100 * by_run[metric].mean(axis=-1),
            published_sd_percent=100 * by_run[metric].std(axis=-1, ddof=1),
        )
        for metric in METRICS[:3]
    ]
    options: dict[str, Any] = {"margin": 5.0, "confidence": 0.95, "minimum_runs": 10, "departures": []}
    # resamples give the intervals their shape alone, and verdicts do not look at them
    estimates = estimate_performance([ours], 2, 0.95, seed).table
    return compare_with_published(estimates, pandas.concat(published), **options)


def draw_studies(
    random: numpy.random.Generator,
    sizes: tuple[int, int],
    n_runs: int,
    n_generators: int,
    generator_points: float,
    n_studies: int,
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Draw labels, shape (n_images,), and probabilities, shape (n_studies, n_runs, n_images)."""
    labels = numpy.repeat([True, False], sizes)
    spread = numpy.sqrt(1 + RUN**2 + PAIR**2)
    points = (
        100 * stats.norm.pdf(EFFECT / spread) / spread
    )  # of balanced accuracy, for a change of 1 of the effect
    generator = random.normal(EFFECT, generator_points / points, (n_studies, n_generators))
    score = random.normal(scale=PAIR, size=(n_studies, n_runs, len(labels)))
    score += random.normal(scale=RUN, size=(n_studies, n_runs, 1))
    score += random.normal(size=(n_studies, 1, len(labels)))
    score += numpy.where(labels, 1, -1) * generator[:, numpy.arange(n_runs) % n_generators, None]
    return labels, stats.norm.cdf(score)


if __name__ == "__main__":
    run_benchmark(main)
