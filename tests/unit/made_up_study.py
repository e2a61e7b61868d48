"""Made-up results of a whole study, in the form of the workflow's tables: no network is trained for them."""

from __future__ import annotations

import numpy
import pandas

from rhvae_mri.statistics.conditions import CONDITION

PAPER_SIZES = (500, 1000, 2000, 3000, 5000, 10000)
SIZES = (20, 40)


#: Of a study that compares generators.
GENERATORS = ("rhvae", "vae", "ppca", "oracle")


def conditions(
    sizes=PAPER_SIZES,
    training_sets=("train-50", "train-full"),
    full_resolution=True,
    classic=False,
    generators=("rhvae",),
):
    """The conditions of a grid, as the columns of the study's tables name them."""
    resolutions = ["full", "downsampled"] if full_resolution else ["downsampled"]
    kinds = ["real", "classic"] if classic else ["real"]
    data = [(kind, "none", 0, resolution) for kind in kinds for resolution in resolutions]
    data += [
        (kind, generator, size, "downsampled")
        for kind in ("synthetic", "augmented")
        for generator in generators
        for size in sizes
    ]
    return [
        dict(zip(CONDITION, (architecture, training_set, *one), strict=True))
        for architecture in ("baseline", "optimized")
        for training_set in training_sets
        for one in data
    ]


def histories(grid, n_seeds=20, n_epochs=100):
    """Training histories of every run, as `rhvae_mri.statistics.histories.read_histories` gives them."""
    random = numpy.random.default_rng(1)
    epoch = numpy.arange(1, n_epochs + 1)
    tables = []
    for condition in grid:
        for seed in range(n_seeds):
            speed = random.uniform(5, 12)
            noise = random.normal(0, 0.02, (4, n_epochs))
            history = pandas.DataFrame(
                {
                    "epoch": epoch,
                    "train_loss": 0.7 * numpy.exp(-epoch / speed) + numpy.abs(noise[0]),
                    "train_balanced_accuracy": numpy.clip(
                        1 - 0.5 * numpy.exp(-epoch / speed) + noise[1], 0, 1
                    ),
                    "validation_loss": 0.45 + 0.2 * numpy.exp(-epoch / speed) + 0.003 * epoch + noise[2],
                    "validation_balanced_accuracy": numpy.clip(
                        0.8 - 0.3 * numpy.exp(-epoch / speed) + noise[3], 0, 1
                    ),
                }
            )
            best = history["validation_balanced_accuracy"].idxmax()
            history["best"] = (history.index == best).astype(int)
            tables.append(history.assign(seed=seed, **condition))
    return pandas.concat(tables, ignore_index=True)


def rhvae_history(n_epochs=300, recoveries=(), seed=0, n_voxels=28560):
    """The history of one RHVAE's training; the learning rate is halved at the epochs of ``recoveries``."""
    random = numpy.random.default_rng(seed)
    epoch = numpy.arange(1, n_epochs + 1)
    reconstruction = n_voxels * (0.45 + 0.2 * numpy.exp(-epoch / 20)) + random.normal(0, 20, n_epochs)
    terms = {
        "reconstruction": reconstruction,
        "prior": 14 + 3 * numpy.exp(-epoch / 30) + random.normal(0, 0.2, n_epochs),
        "momentum": 3 + random.normal(0, 0.3, n_epochs),
        "posterior": -20 - 10 * (1 - numpy.exp(-epoch / 40)) + random.normal(0, 0.3, n_epochs),
    }
    rate = numpy.full(n_epochs, 1e-4)
    for start in recoveries:
        rate[epoch >= start] /= 2
    return pandas.DataFrame(
        {
            "epoch": epoch,
            "loss": sum(terms.values()),
            **terms,
            "latent_norm": 3 + random.random(n_epochs),
            "learning_rate": rate,
            "leapfrog_step_size": 1e-3,
        }
    )


def runs(grid, n_seeds=20, n_ad=100, n_cn=100):
    """Every metric of every run on every set, like `rhvae_mri.statistics.predictions.tabulate_runs`."""
    random = numpy.random.default_rng(2)
    rows = []
    for condition in grid:
        base = 68 if condition["training_set"] != "train-full" else 80
        base += {"real": 0, "classic": 3, "synthetic": 2, "augmented": 5}[condition["training_data"]]
        base -= {"vae": 2, "ppca": 4, "class_mean": 9}.get(condition["generator"], 0)
        base += 3 * numpy.log10(condition["n_synthetic"] + 1) / 4 - (condition["resolution"] == "full")
        for seed in range(n_seeds):
            for cohort, part in (("ADNI", "validation"), ("ADNI", "test"), ("AIBL", "test")):
                sensitivity, specificity = random.normal(base, 5, 2).clip(0, 100)
                values = {
                    "sensitivity": sensitivity,
                    "specificity": specificity,
                    "balanced_accuracy": (sensitivity + specificity) / 2,
                    "auc": min(100, base + 6),
                }
                rows += [
                    condition
                    | {"seed": seed, "test_cohort": cohort, "set": part, "metric": metric}
                    | {"value_percent": value, "n_AD": n_ad, "n_CN": n_cn}
                    for metric, value in values.items()
                ]
    return pandas.DataFrame(rows)


def estimates(all_runs):
    """Means with intervals, in the form of `rhvae_mri.statistics.estimates.estimate_performance`."""
    names = [*conditions()[0], "test_cohort", "metric"]
    grouped = all_runs[all_runs["set"] == "test"].groupby(names, sort=False)["value_percent"]
    table = grouped.agg(mean_percent="mean", sd_percent="std", n_seeds="size").reset_index()
    return table.assign(
        low_percent=table["mean_percent"] - 4, high_percent=table["mean_percent"] + 3.5, n_AD=100, n_CN=100
    )


def roc_curves(grid):
    """ROC curves with bands, in the form of `rhvae_mri.statistics.estimates.estimate_performance`."""
    rate = numpy.linspace(0, 1, 101)
    tables = []
    for condition in grid:
        for cohort, power in (("ADNI", 0.2), ("AIBL", 0.35)):
            curve = rate**power
            table = pandas.DataFrame({"false_positive_rate": rate, "sensitivity": curve})
            table = table.assign(low=(curve - 0.08).clip(0), high=(curve + 0.08).clip(0, 1))
            tables.append(table.assign(**condition, test_cohort=cohort))
    return pandas.concat(tables, ignore_index=True)


def reliability_curves(grid, n_bins=10):
    """Reliability curves, in the form of `rhvae_mri.statistics.calibration`; one bin is empty."""
    edges = numpy.arange(n_bins + 1) / n_bins
    middle = (edges[:-1] + edges[1:]) / 2
    tables = []
    for condition in grid:
        for cohort, shift in (("ADNI", 0.02), ("AIBL", -0.2)):
            observed = (middle + shift).clip(0.02, 0.98)
            table = pandas.DataFrame({"bin_low": edges[:-1], "bin_high": edges[1:]})
            table = table.assign(mean_probability=middle, observed_fraction=observed)
            table = table.assign(low=observed - 0.02, high=observed + 0.02, n_images=20.0)
            table.loc[3, ["mean_probability", "observed_fraction", "low", "high"]] = numpy.nan
            tables.append(table.assign(**condition, test_cohort=cohort))
    return pandas.concat(tables, ignore_index=True)


def confusions(grid, n_ad=100, n_cn=100):
    """Confusion matrices, in the form of `rhvae_mri.statistics.estimates.count_confusions`."""
    random = numpy.random.default_rng(4)
    rows = []
    for condition in grid:
        for cohort in ("ADNI", "AIBL"):
            sensitive, specific = random.uniform(0.55, 0.95, 2)
            counts = {
                "true_positives": n_ad * sensitive,
                "false_negatives": n_ad * (1 - sensitive),
                "true_negatives": n_cn * specific,
                "false_positives": n_cn * (1 - specific),
            }
            rows.append(
                condition
                | {"test_cohort": cohort, "n_seeds": 20}
                | {f"{name}_mean": round(value, 4) for name, value in counts.items()}
                | {f"{name}_sd": 4.2 for name in counts}
            )
    return pandas.DataFrame(rows)
