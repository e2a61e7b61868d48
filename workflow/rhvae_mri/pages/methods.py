"""The methods of a study in words, from its configuration, its split and its software.

The words are those of ``workflow/templates/methods.txt.j2``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rhvae_mri.cohort.split import MAX_TRIES
from rhvae_mri.io.files import write_text
from rhvae_mri.pages.references import number_citations
from rhvae_mri.pages.templates import html_page, render
from rhvae_mri.provenance.tables import DownloadFacts
from rhvae_mri.quality.definitions import LIMITS
from rhvae_mri.quality.verdict import MAXIMUM_PEAK
from rhvae_mri.statistics.conditions import METRIC_LABELS, describe, ordered
from rhvae_mri.study.grid import (
    choose_primary,
    generated_sets,
    is_simulated,
    list_cohorts,
    list_conditions,
)
from rhvae_mri.study.names import CLASSES

if TYPE_CHECKING:
    import pandas

_PROGRAMS = ("snakemake", "clinica", "dcm2niix", "antspyx", "ANTs", "ITK")
_PACKAGES = ("torch", "numpy", "scipy", "pandas", "nibabel", "scikit-learn", "matplotlib", "safetensors")
_CITED = {"ADNI": "ADNI [@adni]", "AIBL": "AIBL [@aibl]"}
_DATA = {
    "real": "real images",
    "classic": "real images under classic augmentation (random flips, shifts, rotations and intensities)",
    "synthetic": "synthetic images alone",
    "augmented": "real and synthetic images together",
}
_GENERATORS = {
    "rhvae": "the RHVAE",
    "vae": "a variational autoencoder with the encoder and decoder of the RHVAE and a normal prior",
    "ppca": "probabilistic principal component analysis",
    "oracle": "further simulated participants, who have no other part in the study",
    "real_steps": "copies of the training images, which add steps of training alone",
    "class_mean": "copies of the mean image",
    "jitter": "copies of training images with noise",
}
_RESOLUTIONS = {"full": "at high resolution", "downsampled": "down-sampled"}


def write_methods(
    paragraphs: Sequence[str],
    references: Sequence[str],
    *,
    html: str | os.PathLike[str],
    markdown: str | os.PathLike[str],
    simulated: bool,
) -> None:
    """Write the methods, from `describe_methods`, as a stand-alone web page and as Markdown, atomically."""
    values: dict[str, Any] = {"paragraphs": paragraphs, "references": references, "simulated": simulated}
    write_text(html, html_page("methods.html.j2", "Methods", **values))
    write_text(markdown, render("methods.md.j2", **values))


def describe_methods(
    config: Mapping[str, Any],
    split: pandas.DataFrame,
    independent: pandas.DataFrame,
    layers: pandas.DataFrame,
    software: Mapping[str, Any],
    facts: Sequence[DownloadFacts] = (),
) -> tuple[list[str], list[str]]:
    """Give the paragraphs of the methods, headings after ``# `` among them, and the works that they cite."""
    sources = {name: cohort["source"] for name, cohort in config["cohorts"].items()}
    used = list_cohorts(config)
    training = ordered("training_set", [name for name in split.columns if name.startswith("train-")])
    sizes = {name: _by_class(split[split[name] == 1]) for name in training}
    parameters = layers.groupby(["model", "network", "resolution"], sort=False)["n_parameters"].sum()
    text = render(
        "methods.txt.j2",
        config=config,
        training_cohort=used[0],
        listed=_listed,
        slashed=lambda values: "/".join(f"{value:g}" for value in values),
        cited=[_CITED.get(name, name) for name in used],
        simulated=[name for name in used if sources[name] == "simulated"],
        converted=[name for name in used if sources[name] in ("simulated", "download", "oasis1")],
        facts=facts,
        limits=LIMITS,
        maximum_peak=MAXIMUM_PEAK,
        max_tries=MAX_TRIES,
        full=sizes["train-full"],
        smaller=[f"{name} ({count})" for name, count in sizes.items() if name != "train-full"],
        held_out={name: _by_class(split[split["set"] == name]) for name in ("validation", "test")},
        independent={cohort: _by_class(people) for cohort, people in independent.groupby("cohort")},
        generators=[
            _GENERATORS.get(name, f"{name} (a class of the user)")
            for name in dict(generated_sets(list_conditions(config["grid"], config["synthetic"]["sizes"])))
        ],
        sizes=[f"{size:,}" for size in config["synthetic"]["sizes"]],
        rhvae_parts=[
            f"{network} ({count:,} parameters)"
            for (model, network, _), count in parameters.items()
            if model == "RHVAE"
        ],
        cnn_sizes={
            name: [
                f"{count:,} parameters {_RESOLUTIONS[resolution]}"
                for resolution, count in parameters["CNN"][name].items()
            ]
            for name in ordered("architecture", layers.loc[layers["model"] == "CNN", "network"])
        },
        data=[_DATA[name] for name in ordered("training_data", config["grid"]["training_data"])],
        primary=_primary_test(config),
        is_simulated=is_simulated(config),
        software=software,
        programs=_with_versions(_PROGRAMS, software["tools"]),
        packages=_with_versions(_PACKAGES, software["packages"]),
    )
    text, references = number_citations(text)
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()], references


def _primary_test(config: Mapping[str, Any]) -> str | None:
    """Say what the primary comparison is."""
    primary = choose_primary(config)
    if primary is None:
        return None
    against = "real images alone" if primary["reference"] == "real" else primary["reference"]
    what = f"{METRIC_LABELS[primary['metric']]} on the test set of {primary['test_cohort']}"
    return f"{what}, {describe(primary)} against {against}"


def _by_class(people: pandas.DataFrame) -> str:
    counts = people["diagnosis"].value_counts()
    return ", ".join(f"{int(counts.get(name, 0))} {name}" for name in CLASSES)


def _with_versions(names: Iterable[str], versions: Mapping[str, str]) -> list[str]:
    return [f"{name} {versions[name]}" for name in names if name in versions]


def _listed(items: Iterable[str]) -> str:
    """Join items as a sentence does.

    Examples
    --------
    >>> _listed(["a", "b", "c"]), _listed(["a"])
    ('a, b and c', 'a')
    """
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
