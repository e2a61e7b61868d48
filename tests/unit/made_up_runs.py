"""Predictions of a small made-up study, as the networks' evaluation writes them."""

import numpy
import pandas

from rhvae_mri.io.files import write_tsv
from rhvae_mri.statistics.predictions import prediction_table
from rhvae_mri.study.grid import list_conditions

GRID = {
    "architectures": ["baseline", "optimized"],
    "training_sets": ["train-50", "train-full"],
    "training_data": ["real", "synthetic", "augmented"],
    "generators": ["rhvae"],
    "full_resolution": True,
    "exclude": [],
}
SETS = {("ADNI", "validation"): (6, 8), ("ADNI", "test"): (20, 24), ("AIBL", "test"): (15, 40)}


def make_predictions(grid=GRID, sizes=(500,), n_seeds=3, sets=SETS, seed=0):
    """Give the condition and the table of each condition of a grid; every run differs a little."""
    random = numpy.random.default_rng(seed)
    signal = {key: random.normal(size=n_ad + n_cn) for key, (n_ad, n_cn) in sets.items()}
    for condition in list_conditions(grid, sizes):
        tables = []
        for (cohort, part), (n_ad, n_cn) in sets.items():
            labels = numpy.repeat([1, 0], [n_ad, n_cn])
            images = [f"sub-{cohort}{part}{number:03d}_ses-M000" for number in range(n_ad + n_cn)]
            for run in range(n_seeds):
                noise = random.normal(size=len(labels)) + random.normal(scale=0.3)
                score = 1.5 * (2 * labels - 1) + signal[cohort, part] + noise
                chance = (1 / (1 + numpy.exp(-score))).round(2)  # some are equal, some are 0.5
                tables.append(prediction_table(condition, run, cohort, part, images, labels, chance))
        yield condition, pandas.concat(tables, ignore_index=True)


def write_predictions(folder, **options):
    """Write the tables of `make_predictions` into a folder and return their paths."""
    paths = []
    for number, (_, table) in enumerate(make_predictions(**options)):
        paths.append(folder / f"predictions-{number}.tsv")
        write_tsv(paths[-1], table)
    return paths
