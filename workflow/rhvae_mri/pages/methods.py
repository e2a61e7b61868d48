"""The methods of a study in words, written from its configuration, its split and its software."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rhvae_mri.cohort.split import MAX_TRIES
from rhvae_mri.pages.references import cite, number_citations
from rhvae_mri.provenance.tables import DownloadFacts
from rhvae_mri.quality.definitions import LIMITS
from rhvae_mri.quality.verdict import MAXIMUM_PEAK
from rhvae_mri.statistics.conditions import ordered
from rhvae_mri.study.grid import is_simulated

if TYPE_CHECKING:
    import pandas

_PROGRAMS = ("snakemake", "clinica", "dcm2niix", "antspyx", "ANTs", "ITK")
_PACKAGES = ("torch", "numpy", "scipy", "pandas", "nibabel", "scikit-learn", "matplotlib", "safetensors")


@dataclass(frozen=True)
class Section:
    """A heading and its paragraphs, as plain text."""

    heading: str
    paragraphs: tuple[str, ...]


def describe_methods(
    config: Mapping[str, Any],
    split: pandas.DataFrame,
    independent: pandas.DataFrame,
    layers: pandas.DataFrame,
    software: Mapping[str, Any],
    facts: Sequence[DownloadFacts] = (),
) -> tuple[list[Section], list[str]]:
    """Write the methods."""
    has_synthetic = {"synthetic", "augmented"} & set(config["grid"]["training_data"])
    sections = [
        Section("Participants", _participants(config, facts)),
        Section("Preprocessing", _preprocessing(config)),
        Section("Quality control", _quality(config)),
        Section("Split", _split(config, split, independent)),
    ]
    if has_synthetic:
        sections.append(Section("Synthetic images", _synthetic(config, layers)))
    sections += [
        Section("Classifiers", _classifiers(config, layers)),
        Section("Evaluation", _evaluation(config)),
        Section("Software", _software(config, software)),
    ]
    texts, references = number_citations([text for section in sections for text in section.paragraphs])
    numbered = iter(texts)
    return [
        Section(section.heading, tuple(next(numbered) for _ in section.paragraphs)) for section in sections
    ], references


def _participants(config: Mapping[str, Any], facts: Sequence[DownloadFacts]) -> tuple[str, ...]:
    names = {"ADNI": "adni", "AIBL": "aibl"}
    used = [name for name, cohort in config["cohorts"].items() if cohort["source"] != "none"]
    cited = _list([f"{name} {cite(names[name])}" if name in names else name for name in used])
    texts = [f"This study repeats {cite('study')} on {cited}."]
    simulated = [name for name in used if config["cohorts"][name]["source"] == "simulated"]
    if simulated:
        texts.append(
            f"The participants of {_list(simulated)}, their images and their diagnoses were SIMULATED: a "
            "program "
            "made heads of known anatomy, pose, bias field and disease, and the clinical tables around "
            "them, in "
            f"the form of the real downloads, at a voxel size of {config['template']['voxel_size']:g} mm. "
            "Results on them say nothing about Alzheimer's disease."
        )
    converted = [
        name for name in used if config["cohorts"][name]["source"] in ("simulated", "download", "oasis1")
    ]
    if converted:
        texts.append(
            f"T1-weighted images and clinical tables of {_list(converted)} were converted to BIDS "
            f"{cite('bids')} "
            f"by the converters of Clinica {cite('clinica')} with dcm2niix {cite('dcm2niix')}."
        )
    texts += [text for each in facts for text in _describe_download(each)]
    texts.append(
        "One image per participant was used: the first usable visit of participants whose diagnosis, "
        "Alzheimer's "
        "disease (AD) or cognitively normal (CN), was the same at every visit."
    )
    return (" ".join(texts),)


def _describe_download(facts: DownloadFacts) -> Iterator[str]:
    """Say which kind of scans a cohort's download gave, what its tables lacked, and what follows."""
    if facts.processed:
        scans, processed = facts.processed
        yield (
            f"Of {scans} converted scans of {facts.cohort}, {processed} were pre-processed by ADNI "
            "(corrected for gradient non-linearity, B1 and N3, and scaled), which Clinica prefers in ADNI1, "
            f"GO and 2; {scans - processed} were original."
        )
    if facts.derived:
        yield (
            f"The {facts.cohort} download had no table ADNIMERGE: visits were taken from REGISTRY and DXSUM, "
            "and diagnoses are those of DXSUM, not those of the published ADNIMERGE."
        )
    elif facts.diagnoses_from_dxsum:
        yield f"The table ADNIMERGE of {facts.cohort} had no diagnoses: they are those of DXSUM."
    if facts.absent:
        consequences = "; ".join(f"without {name}, {consequence}" for name, consequence in facts.absent)
        names = _list([name for name, _ in facts.absent])
        yield f"The {facts.cohort} download did not have {names}: {consequences}."


def _preprocessing(config: Mapping[str, Any]) -> tuple[str, ...]:
    n4, registration, tensors = config["bias_correction"], config["registration"], config["tensors"]
    size = config["template"]["voxel_size"]
    template = (
        "the template of the simulation, on the grid of MNI152NLin2009cSym"
        if config["template"]["source"] == "simulated"
        else f"the MNI152NLin2009cSym template {cite('mni')}"
    )
    seen = (
        ""
        if n4["padding"] == "ants"
        else " (on a coarser padding than ANTs' own, which changes the field in the last digits only)"
    )
    return (
        f"Intensity non-uniformity was corrected with N4 {cite('n4')}{seen}: spline distance "
        f"{n4['spline_distance']:g} mm, shrink factor 4, at most "
        f"50/50/50/50 iterations, no mask. The images were registered to {template} with "
        "ANTs "
        f"{cite('ants')}: aligned centres of mass, then a rigid and an affine transform, each driven by "
        "mutual "
        f"information (32 bins, a regular quarter of the voxels) over {len(registration['iterations'])} "
        "levels "
        f"(at most {_slashed(registration['iterations'])} iterations, shrink factors "
        f"{_slashed(registration['shrink_factors'])}, smoothing {_slashed(registration['smoothing'])} "
        f"{registration['smoothing_unit']}), with linear interpolation. They were cropped to the field of "
        f"169 x 208 x 179 mm, at a voxel size of {size:g} mm.",
        "Each image was rescaled to [0, 1] by its minimum and maximum. Down-sampled images have half as "
        "many "
        f"voxels along each axis, by trilinear interpolation (align_corners: "
        f"{str(tensors['align_corners']).lower()}); both sizes are stored as {tensors['dtype']}.",
    )


def _quality(config: Mapping[str, Any]) -> tuple[str, ...]:
    quality, deep = config["quality"], config["quality"]["deep"]
    check = (
        "The pretrained deep quality check was not run."
        if deep["source"] == "none"
        else f"A pretrained {deep['network']} {cite('darq')} judged three middle slices of each registered "
        "image; "
        f"images with a probability of passing of {deep['threshold']:g} or less were left out."
    )
    limits = (
        "Images were left out in which white matter was not where the average brain has it or not brighter "
        f"than grey matter (correlation below {LIMITS['pattern']:g}), which fitted about as well when turned "
        f"by quarter or half turns (difference below {LIMITS['turn_margin']:g}), or which showed less than "
        f"{100 * LIMITS['brain_shown']:g} % of an end of the brain, or no scalp, or whose correlation was "
        f"more than {quality['outlier_z']:g} robust standard deviations below the cohort's median. "
        if quality["limits"]
        else ""
    )
    return (
        f"{check} {limits}Images whose brightest voxel exceeded {MAXIMUM_PEAK:g} times the head's 98th "
        "percentile were left out. Images with a measure more than "
        f"{quality['outlier_z']:g} robust standard deviations from the cohort's median were flagged for a "
        "human eye and kept." + (" Decisions of an auditor overrode these." if config["exclude"] else ""),
    )


def _split(
    config: Mapping[str, Any], split: pandas.DataFrame, independent: pandas.DataFrame
) -> tuple[str, ...]:
    settings = config["split"]
    training = [name for name in split.columns if name.startswith("train-")]
    sizes = {name: _by_class(split[split[name] == 1]) for name in ordered("training_set", training)}
    held_out = {name: _by_class(split[split["set"] == name]) for name in ("validation", "test")}
    texts = [
        f"Of ADNI, {settings['n_test_per_class']} participants of each diagnosis were drawn for the test "
        "set; of "
        f"the others, {100 * settings['validation_fraction']:g} % of each diagnosis validate and the rest "
        "train "
        f"(train-full: {sizes['train-full']}; validation: {held_out['validation']}; test: "
        f"{held_out['test']})."
    ]
    smaller = [f"{name} ({count})" for name, count in sizes.items() if name != "train-full"]
    if smaller:
        texts.append(f"Smaller training sets were drawn within train-full: {_list(smaller)}.")
    texts.append(
        "Draws were repeated, at most "
        f"{MAX_TRIES:,} times, until age (t-test) and sex (chi-square test) had p-values of at "
        "least "
        f"{settings['p_threshold']:g} within each diagnosis, and sites (permutation test) of at least "
        f"{settings['site_threshold']:g}."
        + (
            ""
            if settings["require_balance"]
            else " Where no draw reached that, the best of them was taken; the table of balance says where."
        )
    )
    for cohort, people in independent.groupby("cohort"):
        texts.append(
            f"{cohort} ({_by_class(people)}) is an independent test cohort, used for no training, selection "
            "or "
            "tuning."
        )
    return (" ".join(texts),)


def _synthetic(config: Mapping[str, Any], layers: pandas.DataFrame) -> tuple[str, ...]:
    rhvae, synthetic = config["rhvae"], config["synthetic"]
    counts = layers[layers["model"] == "RHVAE"].groupby("network", sort=False)["n_parameters"].sum()
    networks = _list([f"{name} ({count:,} parameters)" for name, count in counts.items()])
    kind = (
        "multi-layer perceptrons"
        if rhvae["networks"] == "mlp"
        else "3-D convolutions, which the published study does not have"
    )
    likelihood = (
        "binary cross entropy" if rhvae["reconstruction"] == "bce" else "half the squared error of the voxels"
    )
    sizes = _list([f"{size:,}" for size in synthetic["sizes"]])
    halves = "half of them AD, half CN" if synthetic["count"] == "total" else "of each of the two classes"
    return (
        "For each training set and class, a Riemannian Hamiltonian variational autoencoder (RHVAE) "
        f"{cite('study')} "
        "was trained on the down-sampled images of that class: latent dimension "
        f"{rhvae['latent_dimension']}, "
        f"{networks}, {kind}; {rhvae['leapfrog_steps']} leapfrog steps of {rhvae['leapfrog_step_size']:g}, "
        f"tempering from sqrt(beta_0) = {rhvae['sqrt_beta_zero']:g}, temperature T = "
        f"{rhvae['temperature']:g} and "
        f"regularization lambda = {rhvae['regularization']:g} of the metric; {likelihood}, summed over the "
        "voxels. "
        f"Adam {cite('adam')} (learning rate {rhvae['learning_rate']:g}, batches of {rhvae['batch_size']}) "
        "ran "
        f"until the training loss had not improved for {rhvae['patience']} epochs, at most "
        f"{rhvae['max_epochs']:,}; the weights of the lowest loss were kept. Where a loss or gradient was "
        "not "
        "finite, or the latent positions left the path, training went back to good weights with a smaller "
        "step.",
        "Synthetic images were decoded from the last states of Hamiltonian Monte Carlo chains in the latent "
        "space "
        f"that target the square root of det G^-1 ({synthetic['steps']} proposals of "
        f"{synthetic['leapfrog_steps']} "
        f"leapfrog steps of {synthetic['leapfrog_step_size']:g}, started at random centroids). Sets of "
        f"{sizes} "
        f"images, {halves}, were used. Likelihood of held-out images, distance to the nearest training "
        "images, "
        "precision, recall and diversity of the synthetic images were measured.",
    )


def _classifiers(config: Mapping[str, Any], layers: pandas.DataFrame) -> tuple[str, ...]:
    cnn, grid = config["cnn"], config["grid"]
    origin = {
        "baseline": f"the architecture of {cite('wen')}, resized for down-sampled images",
        "optimized": "the winner of the published random search"
        if cnn["optimized"] == "published"
        else "the winner of this study's own random search "
        f"({config['search']['candidates']} candidates, {config['search']['folds']}-fold cross-validation "
        "on the "
        "real images of train-full)",
    }
    sizes = (
        layers[layers["model"] == "CNN"].groupby(["network", "resolution"], sort=False)["n_parameters"].sum()
    )
    resolutions = {"full": "at high resolution", "downsampled": "down-sampled"}
    networks = [
        f"{name} ({origin[name]}; "
        + _list([f"{count:,} parameters {resolutions[size]}" for size, count in sizes[name].items()])
        + f"; {cnn['epochs'][name]} epochs)"
        for name in ordered("architecture", grid["architectures"])
    ]
    names = {
        "real": "real images",
        "classic": "real images under classic augmentation (random flips, shifts, rotations and intensities)",
        "synthetic": "synthetic images alone",
        "augmented": "real and synthetic images together",
    }
    data = _list([names[name] for name in ordered("training_data", grid["training_data"])])
    return (
        f"Convolutional networks as in ClinicaDL {cite('clinicadl')} told AD from CN: "
        f"{_list(networks)}. They "
        f"were trained on {data}"
        + (", real images also at high resolution." if grid["full_resolution"] else ".")
        + f" Adam {cite('adam')} (learning rate {cnn['learning_rate']:g}, weight decay "
        f"{cnn['weight_decay']:g}, "
        f"batches of {cnn['batch_size']}) minimized the cross entropy. Validation chose the epoch of the "
        "highest "
        f"balanced accuracy; test data chose nothing. Every condition was trained {cnn['seeds']} times with "
        "different initial weights and orders of the images; every run is reported.",
    )


def _evaluation(config: Mapping[str, Any]) -> tuple[str, ...]:
    texts = [
        "AD is the positive class; an image is called AD when its probability is above 0.5. Sensitivity, "
        "specificity, balanced accuracy and the area under the ROC curve are given as mean and standard "
        "deviation "
        "(divisor n - 1) over the runs."
    ]
    if statistics := config.get("statistics"):
        texts.append(
            f"Intervals of {100 * statistics['confidence']:g} % are bootstrap percentile intervals "
            f"{cite('bootstrap')} over participants (within each class) and runs together, of "
            f"{statistics['resamples']:,} resamples. Conditions were compared with real images alone on the "
            "same "
            f"participants and runs, with p-values corrected by Holm {cite('holm')} and Benjamini-Hochberg "
            f"{cite('hochberg')} within each cohort and metric. A published mean counts as reproduced where "
            "two "
            f"one-sided tests {cite('tost')} show a difference of less than "
            f"{statistics['equivalence_margin']:g} percentage points."
        )
        if is_simulated(config):
            texts.append("No verdict is given on published results from simulated data.")
    texts.append(
        "Attributions of the networks' answers to voxels were computed by integrated gradients "
        f"{cite('gradients')}."
    )
    return (" ".join(texts),)


def _software(config: Mapping[str, Any], software: Mapping[str, Any]) -> tuple[str, ...]:
    tools = software["tools"]
    programs = [f"{name} {tools[name]}" for name in _PROGRAMS if name in tools]
    packages = [f"{name} {software['packages'][name]}" for name in _PACKAGES if name in software["packages"]]
    own = software["rhvae-mri"]
    return (
        f"All steps were run by rhvae-mri {own['version']} (revision {own['revision']}), a Snakemake "
        f"{cite('snakemake')} workflow, on {software['python']} with {_list(programs)}; PyTorch "
        f"{cite('torch')} "
        f"and further packages: {_list(packages)}. Every random state derives from the study's seed, "
        f"{config['study']['seed']}.",
    )


def _by_class(people: pandas.DataFrame) -> str:
    counts = people["diagnosis"].value_counts()
    return ", ".join(f"{int(counts.get(name, 0))} {name}" for name in ("AD", "CN"))


def _slashed(values: Sequence[Any]) -> str:
    return "/".join(f"{value:g}" for value in values)


def _list(items: Iterable[str]) -> str:
    """Join items as a sentence does.

    Examples
    --------
    >>> _list(["a", "b", "c"]), _list(["a"])
    ('a, b and c', 'a')
    """
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
