"""How much work the jobs of a study are, in units that a small and a large study share.

A unit is what the time of a stage grows with: voxels, images, weights times steps. What the units leave out
(startup, caches, how well threads share) is in the uncertainty that `rhvae_mri.cost.estimate` states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rhvae_mri.generators.registry import fit_settings
from rhvae_mri.io.files import read_tsv
from rhvae_mri.study.grid import (
    CONTROLS,
    OWN_GENERATOR,
    batch_seeds,
    condition_path,
    count_replicates,
    generated_sets,
    is_simulated,
    list_cohorts,
    list_conditions,
    model_folder,
    other_generator,
    replicate_part,
    saliency_conditions,
    synthetic_per_class,
)
from rhvae_mri.study.names import CLASSES

#: Voxels at 1 mm: the template's grid, the crop, its down-sampled half, and a scan of 256 mm.
_HEAD, _CROP, _HALF, _SCAN = 193 * 229 * 193, 169 * 208 * 179, 84 * 104 * 89, 256**3


class StudySizes(NamedTuple):
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
    threads: int = 1  # of each job
    count: int = 1

    @property
    def rule(self) -> str:
        """The rule."""
        return self.stage.partition(" ")[0]


class _Parts:
    """What the work of several stages follows from."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        voxel_size = config["template"]["voxel_size"]
        self.per_mm = voxel_size**-3
        self.conditions = list_conditions(config["grid"], config["synthetic"]["sizes"])
        self.resolutions = list(dict.fromkeys(each["resolution"] for each in self.conditions))
        replication = config["rhvae"]["replicates"], config["split"]["redraw_subsets"]
        self.generated = [
            (generator, training_set, replicate)
            for generator, training_set in generated_sets(self.conditions)
            for replicate in range(count_replicates(generator, training_set, *replication))
        ]
        self.per_class = synthetic_per_class(config["synthetic"]["sizes"], config["synthetic"]["count"])
        self.voxels = {"full": _CROP * self.per_mm, "downsampled": _HALF * self.per_mm}
        # those of real cohorts measure 1 mm
        self.scan = _SCAN / (voxel_size if is_simulated(config) else 1.0) ** 3
        layers = config["rhvae"]
        ends = [layers[name] for name in ("encoder_layers", "decoder_layers", "metric_layers")]
        outer = ends[0][0] + ends[1][-1] + ends[2][0]
        # weights of an RHVAE that depend on the size of the image: those of its first and last layers
        outer = sum(layers["channels"]) if layers["networks"] == "convolutional" else outer
        self.weights = _HALF / voxel_size**3 * outer


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


def disk_work(config: Mapping[str, Any], sizes: StudySizes) -> dict[str, float]:
    """Say what the contents of each folder of the results grow with, in units of their own."""
    parts = _Parts(config)
    images = sum(sizes.images.values())
    stored = {"float32": 4, "float16": 2}
    tensor = sum(parts.voxels[name] for name in parts.resolutions)
    n_synthetic = max(parts.per_class.values())
    trained = len(CLASSES) * sum(generator == OWN_GENERATOR for generator, *_ in parts.generated)
    return {
        "bids": sum(sizes.scans.values()) * parts.scan,
        "derivatives": images * (parts.scan + (_HEAD + _CROP) * parts.per_mm),
        "audit": images,
        "tensors": images * tensor * stored[config["tensors"]["dtype"]],
        "rhvae": trained * parts.weights,
        "synthetic": len(CLASSES)
        * len(parts.generated)
        * n_synthetic
        * _HALF
        * parts.per_mm
        * stored[config["synthetic"]["dtype"]],
        "cnn": sum(parts.voxels[each["resolution"]] for each in parts.conditions) * config["cnn"]["seeds"],
    }


def list_jobs(config: Mapping[str, Any], sizes: StudySizes) -> list[Job]:
    """List the jobs of a study that take time."""
    parts = _Parts(config)
    return [job for part in (_preprocessing, _generation, _networks) for job in part(config, sizes, parts)]


def _preprocessing(config: Mapping[str, Any], sizes: StudySizes, parts: _Parts) -> Iterator[Job]:
    head, crop = (count / config["template"]["voxel_size"] ** 3 for count in (_HEAD, _CROP))
    threads = config["quality"]["threads"]
    for cohort, images in sizes.images.items():
        place = f"cohort-{cohort}"
        if sizes.scans[cohort]:
            converting = 1 if config["cohorts"][cohort]["source"] == "simulated" else 2
            yield Job("convert_to_bids", sizes.scans[cohort] * parts.scan, 1, place, converting)
        yield Job("preprocess_image", parts.scan + head, parts.scan + head, f"{place}/", count=images)
        for rule in ("measure_quality", "draw_audit"):
            yield Job(rule, images * head, head * threads, place, threads)
        if config["quality"]["deep"]["source"] != "none":
            yield Job("check_deep_quality", images, 1, place)
        for resolution in parts.resolutions:
            yield Job("pack_tensors", images * crop, crop, f"{place}_resolution-{resolution}")


def _generation(config: Mapping[str, Any], sizes: StudySizes, parts: _Parts) -> Iterator[Job]:
    settings, sampler, weights = config["rhvae"], config["synthetic"], parts.weights
    steps = sampler["steps"] * sampler["leapfrog_steps"]
    for generator, name, replicate in parts.generated:
        part = other_generator(generator)
        for diagnosis in CLASSES:
            images = sizes.training[name, diagnosis]
            # of the chains, which only the RHVAE has, and of the decoder
            made = (0 if part else steps * images * settings["latent_dimension"] ** 2) + weights
            works = {
                ("generate_synthetic", part): max(parts.per_class.values()) * made,
            }
            if generator not in CONTROLS:
                works["measure_generation", part] = (images + sizes.validation[diagnosis]) * weights
            if generator in (OWN_GENERATOR, "vae"):  # the others are fitted in seconds, or are the user's
                epochs = fit_settings(config, generator)["max_epochs"]
                works["train_generator", f"{model_folder(generator)}/"] = epochs * images * weights
            for (rule, place), work in works.items():
                model = f"training_set-{name}{replicate_part(replicate)}_diagnosis-{diagnosis}"
                key = f"{place.strip('/')}/{model}".strip("/")
                yield Job(f"{rule} ({generator})", work, weights, key, settings["threads"])


def _networks(config: Mapping[str, Any], sizes: StudySizes, parts: _Parts) -> Iterator[Job]:
    settings, search = config["cnn"], config["search"]
    threads, batch = settings["threads"], settings["batch_size"]
    validation = sum(sizes.validation.values())
    independent = sum(sizes.images[cohort] for cohort in list_cohorts(config)[1:] if cohort in sizes.images)
    evaluated = validation + sizes.tested + independent
    shown = saliency_conditions(parts.conditions)
    for each in parts.conditions:
        architecture, place = each["architecture"], condition_path(each)
        voxels = parts.voxels[each["resolution"]]
        images = 2 * parts.per_class[str(each["n_synthetic"])]
        if each["training_data"] != "synthetic":
            images += sum(sizes.training[each["training_set"], diagnosis] for diagnosis in CLASSES)
        # a pass without gradients takes about a third of one with
        work = settings["epochs"][architecture] * (images + validation / 3) * voxels
        for seeds, count in _batches(settings["seeds"], settings["seeds_per_job"]):
            key = f"{place}/seeds-{seeds}"
            yield Job(f"train_cnn ({architecture})", count * work, batch * voxels, key, threads)
        work = settings["seeds"] * evaluated * voxels
        yield Job(f"evaluate ({architecture})", work, voxels, place, threads)
        if each in shown:
            work = sizes.tested * config["saliency"]["steps"] * voxels
            yield Job("measure_saliency", work, batch * voxels, place, threads)
    real = sum(sizes.training["train-full", diagnosis] for diagnosis in CLASSES)
    for resolution in parts.resolutions:
        voxels = parts.voxels[resolution]
        for candidates, count in _batches(search["candidates"], search["candidates_per_job"]):
            work = count * search["folds"] * search["epochs"] * real * voxels
            key = f"resolution-{resolution}/candidates-{candidates}"
            yield Job("train_candidates", work, batch * voxels, key, threads)


def _batches(count: int, per_job: int) -> Iterator[tuple[str, int]]:
    for batch in batch_seeds(count, per_job):
        first, last = map(int, batch.split("-"))
        yield batch, last - first + 1
