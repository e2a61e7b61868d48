"""How much work the jobs of a study are, in units that a small and a large study share.

A unit is what the time of a stage grows with: voxels, images, weights times steps. What the units leave out
(startup, caches, how well threads share) is in the uncertainty that `rhvae_mri.cost.estimate` states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rhvae_mri.io.files import read_tsv
from rhvae_mri.study.grid import (
    batch_seeds,
    list_cohorts,
    list_conditions,
    saliency_conditions,
    synthetic_per_class,
    synthetic_training_sets,
)
from rhvae_mri.study.names import CLASSES

#: Voxels at 1 mm: the template's grid, the crop, its down-sampled half, and a scan of 256 mm.
_HEAD, _CROP, _HALF, _SCAN = 193 * 229 * 193, 169 * 208 * 179, 84 * 104 * 89, 256**3


@dataclass(frozen=True)
class StudySizes:
    """How many images a study has."""

    images: dict[str, int]  # by cohort, those that are preprocessed
    scans: dict[str, int]  # by cohort, those that are converted: all visits of all participants
    training: dict[tuple[str, str], int]  # by training set and diagnosis
    validation: dict[str, int]  # by diagnosis
    tested: int  # of the test set of the training cohort

    @property
    def scans_per_image(self) -> float:
        """How many scans are converted for each image that is kept; 1 without a conversion."""
        converted = {cohort: self.images[cohort] for cohort in self.scans if self.scans[cohort]}
        return sum(self.scans.values()) / sum(converted.values()) if converted else 1.0


@dataclass(frozen=True)
class Job:
    """Some equal jobs."""

    stage: str  # the rule, and for networks their architecture: "train_cnn (baseline)"
    work: float  # of each job, in the stage's unit
    size: float  # what the memory of a job grows with
    key: str  # its benchmark below the rule's folder, without ".tsv"; of per-image jobs what they share
    count: int = 1
    threads: int = 1  # of each job
    on_gpu: bool = False  # whether it would use a GPU

    @property
    def rule(self) -> str:
        """The rule."""
        return self.stage.partition(" ")[0]


def sizes_of_results(results: Path, config: Mapping[str, Any]) -> StudySizes:
    """Count the images of a finished study, in its tables."""
    images, scans = {}, {}
    for cohort in list_cohorts(config):
        table = read_tsv(results / f"cohorts/cohort-{cohort}/images.tsv")
        images[cohort] = int((table["status"] == "kept").sum())
        report = results / f"conversion/cohort-{cohort}/conversion.tsv"
        scans[cohort] = int((read_tsv(report)["status"] == "converted").sum()) if report.is_file() else 0
    split = read_tsv(results / "split/split.tsv")
    training = {
        (name, diagnosis): int(((split[name] == 1) & (split["diagnosis"] == diagnosis)).sum())
        for name in config["grid"]["training_sets"] + ["train-full"]
        for diagnosis in CLASSES
    }
    held_out = split.loc[split["set"] == "validation", "diagnosis"]
    validation = {diagnosis: int((held_out == diagnosis).sum()) for diagnosis in CLASSES}
    return StudySizes(images, scans, training, validation, int((split["set"] == "test").sum()))


def expected_sizes(config: Mapping[str, Any], scans_per_image: float) -> StudySizes:
    """Say how many images a study will have, if all participants of `simulation.participants` are usable.

    These are the published study's participants with AD and CN, whatever the source of the cohorts; another
    training cohort is taken to have as many as ADNI. Further test cohorts are not counted: how many images
    they have is not known before they are listed.
    """
    known = config["simulation"]["participants"]
    training_cohort, *others = list_cohorts(config)
    people = {training_cohort: known.get(training_cohort, known["ADNI"])}
    people |= {cohort: known[cohort] for cohort in others if cohort in known}
    images = {cohort: sum(parts[name] for name in CLASSES) for cohort, parts in people.items()}
    scans = {
        cohort: round(scans_per_image * count) if config["cohorts"][cohort]["source"] != "bids" else 0
        for cohort, count in images.items()
    }
    split = config["split"]
    rest = {name: people[training_cohort][name] - split["n_test_per_class"] for name in CLASSES}
    validation = {name: int(split["validation_fraction"] * count) for name, count in rest.items()}
    training = {("train-full", name): rest[name] - validation[name] for name in CLASSES}
    training |= {(f"train-{size}", name): size for size in split["train_subsets"] for name in CLASSES}
    return StudySizes(images, scans, training, validation, 2 * split["n_test_per_class"])


def list_jobs(config: Mapping[str, Any], sizes: StudySizes) -> list[Job]:
    """List the jobs of a study that take time."""
    return [*_preprocessing(config, sizes), *_generation(config, sizes), *_networks(config, sizes)]


def disk_work(config: Mapping[str, Any], sizes: StudySizes) -> dict[str, float]:
    """Say what the contents of each folder of the results grow with, in units of their own."""
    per_mm = config["template"]["voxel_size"] ** -3
    images = sum(sizes.images.values())
    stored = {"float32": 4, "float16": 2}
    tensor = sum(_input_voxels({"resolution": name}, per_mm) for name in _resolutions(config))
    n_synthetic = max(_synthetic_per_class(config).values())
    models = len(CLASSES) * len(synthetic_training_sets(_conditions(config)))
    runs = sum(_input_voxels(each, per_mm) for each in _conditions(config)) * config["cnn"]["seeds"]
    return {
        "bids": sum(sizes.scans.values()) * _scan_voxels(config),
        "derivatives": images * (_scan_voxels(config) + (_HEAD + _CROP) * per_mm),
        "audit": images,
        "tensors": images * tensor * stored[config["tensors"]["dtype"]],
        "rhvae": models * _weights(config),
        "synthetic": models * n_synthetic * _HALF * per_mm * stored[config["synthetic"]["dtype"]],
        "cnn": runs,
    }


def _preprocessing(config: Mapping[str, Any], sizes: StudySizes) -> Iterator[Job]:
    scan = _scan_voxels(config)
    head, crop = (count / config["template"]["voxel_size"] ** 3 for count in (_HEAD, _CROP))
    for cohort, images in sizes.images.items():
        place = f"cohort-{cohort}"
        if sizes.scans[cohort]:
            yield Job("convert_to_bids", sizes.scans[cohort] * scan, 1, place, threads=2)
        yield Job("preprocess_image", scan + head, scan + head, f"{place}/", images)
        threads = config["quality"]["threads"]
        yield Job("measure_quality", images * head, head * threads, place, threads=threads)
        yield Job("draw_audit", images * head, head * threads, place, threads=threads)
        if config["quality"]["deep"]["source"] != "none":
            yield _on_gpu(Job("check_deep_quality", images, 1, place, threads=threads))
        for resolution in _resolutions(config):
            yield Job("pack_tensors", images * crop, crop, f"{place}_resolution-{resolution}")


def _generation(config: Mapping[str, Any], sizes: StudySizes) -> Iterator[Job]:
    settings, sampler = config["rhvae"], config["synthetic"]
    weights, threads = _weights(config), settings["threads"]
    n_synthetic = max(_synthetic_per_class(config).values())
    latent = settings["latent_dimension"]
    for name in synthetic_training_sets(_conditions(config)):
        for diagnosis in CLASSES:
            key = f"training_set-{name}_diagnosis-{diagnosis}"
            images = sizes.training[name, diagnosis]
            work = settings["max_epochs"] * images * weights
            yield _on_gpu(Job("train_rhvae", work, weights, key, threads=threads))
            steps = sampler["steps"] * sampler["leapfrog_steps"]
            work = n_synthetic * (steps * images * latent**2 + weights)
            yield _on_gpu(Job("generate_synthetic", work, weights, key, threads=threads))
            work = (images + sizes.validation[diagnosis]) * weights
            yield _on_gpu(Job("measure_generation", work, weights, key, threads=threads))


def _networks(config: Mapping[str, Any], sizes: StudySizes) -> Iterator[Job]:
    per_mm = config["template"]["voxel_size"] ** -3
    settings = config["cnn"]
    threads, batch = settings["threads"], settings["batch_size"]
    validation = sum(sizes.validation.values())
    independent = sum(sizes.images[cohort] for cohort in list_cohorts(config)[1:] if cohort in sizes.images)
    evaluated = validation + sizes.tested + independent
    per_class = _synthetic_per_class(config)
    shown = saliency_conditions(_conditions(config))
    for each in _conditions(config):
        voxels = _input_voxels(each, per_mm)
        real = sum(sizes.training[each["training_set"], diagnosis] for diagnosis in CLASSES)
        images = 2 * per_class[str(each["n_synthetic"])]
        images += 0 if each["training_data"] == "synthetic" else real
        # a pass without gradients takes about a third of one with
        work = settings["epochs"][each["architecture"]] * (images + validation / 3) * voxels
        place = "/".join(f"{name}-{value}" for name, value in each.items())
        stage = f"train_cnn ({each['architecture']})"
        for seeds in batch_seeds(settings["seeds"], settings["seeds_per_job"]):
            first, last = map(int, seeds.split("-"))
            job = Job(stage, (last - first + 1) * work, batch * voxels, f"{place}/seeds-{seeds}", 1, threads)
            yield _on_gpu(job)
        work = settings["seeds"] * evaluated * voxels
        yield _on_gpu(Job(f"evaluate ({each['architecture']})", work, voxels, place, threads=threads))
        if each in shown:
            work = sizes.tested * config["saliency"]["steps"] * voxels
            yield _on_gpu(Job("measure_saliency", work, batch * voxels, place, threads=threads))
    search = config["search"]
    real = sum(sizes.training["train-full", diagnosis] for diagnosis in CLASSES)
    for resolution in _resolutions(config):
        voxels = _input_voxels({"resolution": resolution}, per_mm)
        for batch_name in batch_seeds(search["candidates"], search["candidates_per_job"]):
            first, last = map(int, batch_name.split("-"))
            work = (last - first + 1) * search["folds"] * search["epochs"] * real * voxels
            key = f"resolution-{resolution}/candidates-{batch_name}"
            yield _on_gpu(Job("train_candidates", work, batch * voxels, key, threads=threads))


def _on_gpu(job: Job) -> Job:
    return replace(job, on_gpu=True)


def _conditions(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list_conditions(config["grid"], config["synthetic"]["sizes"])


def _synthetic_per_class(config: Mapping[str, Any]) -> dict[str, int]:
    return synthetic_per_class(config["synthetic"]["sizes"], config["synthetic"]["count"])


def _resolutions(config: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(each["resolution"] for each in _conditions(config)))


def _scan_voxels(config: Mapping[str, Any]) -> float:
    """Voxels of a scan; those of real cohorts measure 1 mm."""
    simulated = any(cohort["source"] == "simulated" for cohort in config["cohorts"].values())
    return _SCAN / (config["template"]["voxel_size"] if simulated else 1.0) ** 3


def _input_voxels(condition: Mapping[str, Any], per_mm: float) -> float:
    return (_CROP if condition["resolution"] == "full" else _HALF) * per_mm


def _weights(config: Mapping[str, Any]) -> float:
    """Weights of an RHVAE that depend on the size of the image: those of its first and last layers."""
    layers = config["rhvae"]
    voxels = _HALF / config["template"]["voxel_size"] ** 3
    if layers["networks"] == "convolutional":
        return voxels * sum(layers["channels"])
    return voxels * (layers["encoder_layers"][0] + layers["decoder_layers"][-1] + layers["metric_layers"][0])
