"""Which networks a study trains: the conditions of the grid, and the batches of seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rhvae_mri.study.names import TRAIN_FULL
from rhvae_mri.study.seeds import derive_seed

# The other training data are ``real`` images, and ``classic``: real images, transformed anew at each epoch.
_SYNTHETIC_DATA = ("synthetic", "augmented")

#: The study's own generator, which paths do not name: with another one beside it, nothing is trained again.
OWN_GENERATOR = "rhvae"
#: What conditions without synthetic images have in the place of a generator.
NO_GENERATOR = "none"
#: The generators whose images are the same whatever the random state, and none.
FIXED = (NO_GENERATOR, "real_steps", "class_mean", "oracle")
#: The generators without information beyond the training images, that others are held against; networks are
#: trained on their images together with real ones only.
CONTROLS = ("real_steps", "class_mean", "jitter")


def list_conditions(grid: Mapping[str, Any], synthetic_sizes: Sequence[int]) -> list[dict[str, Any]]:
    """List the conditions that the configuration asks for.

    Examples
    --------
    >>> grid = {"architectures": ["baseline"], "training_sets": ["train-50"], "full_resolution": True,
    ...         "generators": ["rhvae"], "training_data": ["real", "augmented"],
    ...         "exclude": [{"n_synthetic": 1000}]}
    >>> [(c["training_data"], c["n_synthetic"], c["resolution"]) for c in list_conditions(grid, [500, 1000])]
    [('real', 0, 'full'), ('real', 0, 'downsampled'), ('augmented', 500, 'downsampled')]
    """
    return [
        condition
        for condition in _whole_grid(grid, synthetic_sizes)
        if not any(_belongs(condition, excluded) for excluded in grid["exclude"])
    ]


def idle_exclusions(grid: Mapping[str, Any], synthetic_sizes: Sequence[int]) -> list[Mapping[str, Any]]:
    """Return the entries of ``grid.exclude`` that no condition of the grid belongs to."""
    conditions = list(_whole_grid(grid, synthetic_sizes))
    return [
        excluded
        for excluded in grid["exclude"]
        if not any(_belongs(condition, excluded) for condition in conditions)
    ]


def list_cohorts(config: Mapping[str, Any]) -> list[str]:
    """List the cohorts that the study uses, first the one that it trains on."""
    cohorts = {name: one for name, one in config["cohorts"].items() if one["source"] != "none"}
    return sorted(cohorts, key=lambda name: cohorts[name].get("role", "test") != "train")


def is_simulated(config: Mapping[str, Any]) -> bool:
    """Whether any cohort of the study is simulated."""
    return any(cohort["source"] == "simulated" for cohort in config["cohorts"].values())


def generated_sets(conditions: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """List the generators with the training sets that they learn, in the order of the grid."""
    return list(
        dict.fromkeys((each["generator"], each["training_set"]) for each in conditions if each["n_synthetic"])
    )


def other_generator(name: str) -> str:
    """Give the part of a path that names a generator; none for the study's own, or for no generator.

    Examples
    --------
    >>> other_generator("vae"), other_generator("rhvae")
    ('/generator-vae', '')
    """
    return "" if name in (OWN_GENERATOR, NO_GENERATOR) else f"/generator-{name}"


def model_folder(generator: str) -> str:
    """Give the folder of a generator's models, below the results.

    Examples
    --------
    >>> model_folder("rhvae"), model_folder("vae")
    ('rhvae', 'generators/vae')
    """
    return generator if generator == OWN_GENERATOR else f"generators/{generator}"


def generator_of(part: str) -> str:
    """Say which generator a path is of, by what `other_generator` or `model_folder` gives.

    Examples
    --------
    >>> generator_of("/generator-vae"), generator_of("generators/vae"), generator_of("")
    ('vae', 'vae', 'rhvae')
    """
    return part.rpartition("/")[2].removeprefix("generator-") or OWN_GENERATOR


def is_redrawn(training_set: str, redraws: bool) -> bool:
    """Whether each replicate has a draw of its own of a training set, as only the smaller ones can have."""
    return redraws and training_set != TRAIN_FULL


def count_replicates(generator: str, training_set: str, n_replicates: int, redraws: bool) -> int:
    """Count the replicates that conditions with a generator and a training set have.

    Each has a trained generator with its synthetic images, and, where training sets are drawn again, its own
    draw; run s is of replicate s modulo their number. Without either there is nothing to repeat.
    """
    return n_replicates if generator not in FIXED or is_redrawn(training_set, redraws) else 1


def group_runs(batch: str, n_replicates: int) -> dict[int, list[int]]:
    """List the runs of a batch by the replicate that they are of.

    Examples
    --------
    >>> group_runs("3-7", 2)
    {0: [4, 6], 1: [3, 5, 7]}
    """
    first, last = map(int, batch.split("-"))
    runs = range(first, last + 1)
    replicates = sorted({run % n_replicates for run in runs})
    return {which: [run for run in runs if run % n_replicates == which] for which in replicates}


def replicate_part(replicate: int) -> str:
    """Give the part of a path that names a replicate of a generator; none for the first one.

    Examples
    --------
    >>> replicate_part(0), replicate_part(2)
    ('', '/replicate-2')
    """
    return f"/replicate-{replicate}" if replicate else ""


def drawn_set(training_set: str, replicate: int) -> str:
    """Name the draw of a training set that a replicate has, where each has its own.

    Examples
    --------
    >>> drawn_set("train-50", 0), drawn_set("train-50", 2), drawn_set("train-full", 2)
    ('train-50', 'train-50-draw-2', 'train-full')
    """
    return f"{training_set}-draw-{replicate}" if is_redrawn(training_set, replicate > 0) else training_set


def choose_primary(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Choose the primary comparison, by the columns of the table of comparisons.

    It follows from the configuration alone. None where the grid has no such condition, which is an error of
    the configuration only where it is named there.
    """
    grid, primary = config["grid"], config["statistics"]["primary"]
    conditions = list_conditions(grid, config["synthetic"]["sizes"])
    tested = [name for name in grid["generators"] if name not in (*CONTROLS, "oracle")] or grid["generators"]
    chosen = {
        "architecture": primary["architecture"] or grid["architectures"][0],
        "training_set": primary["training_set"] or grid["training_sets"][0],
        "training_data": "augmented",
        "generator": primary["generator"] or tested[0],
        "n_synthetic": primary["n_synthetic"] or max(config["synthetic"]["sizes"]),
        "resolution": "downsampled",
    }
    controlled = chosen | {"generator": "real_steps"}
    against = primary["against"] or (
        "real_steps" if controlled in conditions and controlled != chosen else "real"
    )
    none = {"training_data": "real", "generator": NO_GENERATOR, "n_synthetic": 0}
    other = chosen | (none if against == "real" else {"generator": against})
    if chosen not in conditions or other not in conditions or chosen == other:
        return None
    tested_on = {"test_cohort": list_cohorts(config)[0], "metric": primary["metric"]}
    return chosen | tested_on | {"reference": against}


def condition_path(condition: Mapping[str, Any]) -> str:
    """Name the folder of a condition, as the pathvar `condition` does."""
    parts = [f"{name}-{value}" for name, value in condition.items() if name != "generator"]
    parts[2] += other_generator(condition["generator"])  # behind the training data
    return "/".join(parts)


def saliency_conditions(conditions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Choose the conditions whose networks the figure of saliency shows.

    They are those of real, down-sampled images of ``train-full``, one for each architecture; where the grid
    does not have it, of its last training set that has any.
    """
    real = [
        each for each in conditions if each["training_data"] == "real" and each["resolution"] == "downsampled"
    ]
    training_sets = [each["training_set"] for each in real]
    shown = "train-full" if "train-full" in training_sets or not real else training_sets[-1]
    return [each for each in real if each["training_set"] == shown]


def _whole_grid(grid: Mapping[str, Any], synthetic_sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Every condition, those of ``grid.exclude`` too."""
    for architecture in grid["architectures"]:
        for training_set in grid["training_sets"]:
            for data in _list_data(grid, synthetic_sizes):
                yield {"architecture": architecture, "training_set": training_set, **data}


def _belongs(condition: Mapping[str, Any], excluded: Mapping[str, Any]) -> bool:
    """Whether a condition has all the values that an exclusion names."""
    return all(condition[name] == value for name, value in excluded.items())


def _list_data(grid: Mapping[str, Any], synthetic_sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The training data of each condition; synthetic images exist at the down-sampled size only."""
    for data in grid["training_data"]:
        if data == "real" and grid["full_resolution"]:
            yield {"training_data": data, "generator": NO_GENERATOR, "n_synthetic": 0, "resolution": "full"}
        is_made = data in _SYNTHETIC_DATA
        generators = [name for name in grid["generators"] if data == "augmented" or name not in CONTROLS]
        for generator in generators if is_made else (NO_GENERATOR,):
            for size in synthetic_sizes if is_made else (0,):
                sizes = {"n_synthetic": size, "resolution": "downsampled"}
                yield {"training_data": data, "generator": generator, **sizes}


def batch_seeds(n_seeds: int, per_job: int) -> list[str]:
    """Divide the seeds 0 … n-1 into the batches that one job trains, as ``first-last``.

    Examples
    --------
    >>> batch_seeds(7, 3)
    ['0-2', '3-5', '6-6']
    """
    return [f"{first}-{min(first + per_job, n_seeds) - 1}" for first in range(0, n_seeds, per_job)]


def seeds_of_batch(batch: str, study_seed: int, condition: Sequence[str]) -> dict[int, int]:
    """Give the random seed of each run of a batch, by the run's number.

    Examples
    --------
    >>> list(seeds_of_batch("3-5", 1, ["baseline", "train-50"]))
    [3, 4, 5]
    """
    first, last = map(int, batch.split("-"))
    return {
        number: derive_seed(study_seed, "train_cnn", *condition, number) for number in range(first, last + 1)
    }


def synthetic_per_class(sizes: Sequence[int], count: str) -> dict[str, int]:
    """How many images of each class the synthetic set of each size has.

    Examples
    --------
    >>> synthetic_per_class([500, 1000], "total")
    {'0': 0, '500': 250, '1000': 500}
    """
    return {"0": 0} | {str(size): size // 2 if count == "total" else size for size in sizes}
