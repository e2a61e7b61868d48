"""The figures of a study: what each is drawn from and by, and what its readers are told.

Rule, output list, report, index page and docs/results.md follow from an entry here. Every job reads this
module with the rules, so it imports nothing that draws.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(kw_only=True)
class FigureEntry:
    """One figure, or one for each value of the wildcards in its name."""

    #: The function below `rhvae_mri.figures`; it gets inputs, ``arguments``, wildcards and ``simulated``.
    draw: str
    #: Heading under which report and index page have it, and what the report calls it there.
    category: str
    label: str
    #: What is documented of its source table: a few words, and the columns; with ? where only some have them.
    contents: str
    columns: str
    #: Its legend, for report and index page.
    caption: str
    #: Files below the results, or in the repository's resources/. A name in braces is what `study_files` in
    #: the rules knows by it, or else a wildcard.
    inputs: Mapping[str, str]
    #: What else the function needs, by names that the rules know.
    arguments: tuple[str, ...] = ()
    #: What a study must have for it: `synthetic images`, `RHVAE`, `saliency`, or `search`, a target apart.
    needs: str = ""
    #: Further tables, by the end of their names.
    tables: tuple[str, ...] = ()

    @property
    def of_generators(self) -> bool:
        """Whether it is drawn for each generator, of others than the RHVAE in folders of their own."""
        return any("{other_generator}" in path for path in self.inputs.values())

    def __post_init__(self) -> None:
        for name in ("contents", "columns", "caption"):
            setattr(self, name, " ".join(getattr(self, name).split()))


_CURVE = "*condition* test_cohort"
_LAYERS = "model network resolution input_shape layer kind"
_SLICE = "diagnosis plane slice_index mean"
_SYNTHETIC = "synthetic{other_generator}/training_set-{training_set}/diagnosis-{diagnosis}"
_EXAMPLES = {
    "real": "tensors/cohort-{training_cohort}/resolution-downsampled/images.safetensors",
    "split": "split/split.tsv",
    "synthetic": f"{_SYNTHETIC}/images.safetensors",
}
_PUBLISHED = "resources/published_results.tsv"

#: In the order in which readers are led to them, by the names of their files.
FIGURES = {
    "sizes": FigureEntry(
        draw="accuracy.draw_sizes",
        category="Results",
        label="by number of synthetic images",
        contents="balanced accuracy by the number of synthetic images",
        columns="""*condition* seed test_cohort value_percent n_AD n_CN mean_percent low_percent high_percent
        published_mean_percent published_sd_percent""",
        caption="""Balanced accuracy on the test sets by the number of synthetic images, for each
        architecture, training set and test cohort. Thick curves are means over the runs with intervals over
        participants and runs; small dots are single runs. The horizontal line and band are real images
        alone. Dashed lines are the published means, where the paper has the same condition: with diamonds by
        number of synthetic images, without them of real images alone. In as many epochs, more images make
        more steps of training, and a difference may come from these alone.""",
        inputs={
            "runs": "tables/runs.tsv",
            "estimates": "statistics/estimates.tsv",
            "published": _PUBLISHED,
            "comparisons": "tables/comparisons.tsv",
        },
    ),
    "seeds": FigureEntry(
        draw="accuracy.draw_seeds",
        category="Results",
        label="every run",
        contents="every run of every condition",
        columns="""*condition* seed test_cohort value_percent n_AD n_CN mean_percent sd_percent
        published_mean_percent""",
        caption="""Balanced accuracy of every run on the test sets: each dot is one trained network, none is
        left out. Crosses are mean and standard deviation over the runs, diamonds the published means where
        the paper has the same condition. The dashed line is chance. More images make more steps of training,
        and a difference may come from these alone.""",
        inputs={
            "runs": "tables/runs.tsv",
            "published": _PUBLISHED,
            "comparisons": "tables/comparisons.tsv",
        },
    ),
    "roc_{architecture}": FigureEntry(
        draw="panels.draw_roc",
        category="Results",
        label="ROC curves",
        contents="ROC curves of one architecture",
        columns=f"{_CURVE} false_positive_rate sensitivity low high auc_percent",
        caption="""Receiver operating characteristic (ROC) of every condition: sensitivity for Alzheimer's
        disease (AD) against the rate of false positives among cognitively normal (CN) participants. Curves
        are means over the runs, bands their intervals over participants and runs; AUC is the area under the
        curve.""",
        inputs={"curves": "statistics/roc.tsv", "estimates": "statistics/estimates.tsv"},
    ),
    "reliability_{architecture}": FigureEntry(
        draw="panels.draw_reliability",
        category="Results",
        label="calibration",
        contents="reliability curves of one architecture",
        columns=f"{_CURVE} bin_low bin_high mean_probability observed_fraction low high n_images",
        caption="""Calibration of every condition: the share of AD among images whose predicted probability
        of AD falls into a bin, against the mean prediction in that bin, with intervals over participants and
        runs. Networks trained on as many AD as CN images cannot be calibrated on a cohort with another share
        of AD.""",
        inputs={"curves": "statistics/reliability.tsv"},
    ),
    "confusion_{architecture}_{cohort}": FigureEntry(
        draw="panels.draw_confusion",
        category="Results",
        label="confusion matrices",
        contents="confusion matrices of one architecture on one cohort",
        columns=f"""{_CURVE} n_seeds true_positives_mean true_positives_sd false_negatives_mean
        false_negatives_sd true_negatives_mean true_negatives_sd false_positives_mean false_positives_sd""",
        caption="""Confusion matrices of every condition on one test set: numbers of participants by true and
        by predicted class, as mean and standard deviation over the runs.""",
        inputs={"counts": "statistics/confusion.tsv"},
    ),
    "slices": FigureEntry(
        draw="slices.draw_slices",
        category="Synthetic images",
        label="real and synthetic slices",
        contents="real beside synthetic images",
        columns="diagnosis kind image_id plane slice_index minimum mean maximum",
        caption="""Middle slices of real training images, drawn at random, beside synthetic images that were
        made from the same training set, on one grey scale (RHVAE: Riemannian Hamiltonian variational
        autoencoder).""",
        inputs=_EXAMPLES,
        arguments=("training_set", "seed", "generators"),
        needs="synthetic images",
    ),
    "intruders": FigureEntry(
        draw="slices.draw_intruders",
        category="Synthetic images",
        label="find the intruders",
        contents="real and synthetic images without labels",
        columns="number diagnosis plane slice_index mean",
        caption="""Real and synthetic images in random order, one middle slice each, without labels. Which
        are synthetic? The answers are in a table of their own.""",
        inputs=_EXAMPLES,
        arguments=("training_set", "seed", "generators"),
        needs="synthetic images",
        tables=("answers",),
    ),
    "generation_{picture}": FigureEntry(
        draw="slices.draw_generation",
        category="Synthetic images",
        label="{picture}",
        contents="""images along the axes of the latent space (`traversal`), between two real ones
        (`interpolation`), and synthetic ones with their nearest real ones (`neighbours`)""",
        columns=f"key row column position? share? image_id? length? density? distance? {_SLICE}",
        caption="""What the generator of each class has learnt: images along the principal axes of its latent
        space, images on the way between two training images, or synthetic images beside the training images
        that are nearest to them.""",
        inputs={"stacks": f"{_SYNTHETIC}/pictures.safetensors", "tables": f"{_SYNTHETIC}/pictures.tsv"},
        arguments=("generators",),
        needs="synthetic images",
    ),
    "losses": FigureEntry(
        draw="training.draw_losses",
        category="Synthetic images",
        label="losses of the RHVAEs",
        contents="training of the RHVAEs",
        columns="""training_set diagnosis epoch loss reconstruction prior momentum posterior latent_norm
        learning_rate leapfrog_step_size selected recovered""",
        caption="""Training of the RHVAE of each class and training set: the loss, which is minimized, and
        the terms that it is the sum of, by epoch. Circles mark the epoch whose weights were kept; dotted
        lines mark where training went back to good weights and went on with smaller steps.""",
        inputs={"histories": "rhvae/training_set-{rhvae_training_set}/diagnosis-{diagnosis}/history.tsv"},
        arguments=("models",),
        needs="RHVAE",
    ),
    "networks_{model}": FigureEntry(
        draw="networks.draw_networks",
        category="Networks",
        label="architectures",
        contents="the classifiers (`cnn`) or the networks of the RHVAE (`rhvae`), layer by layer",
        columns=f"{_LAYERS} detail? output_shape n_parameters",
        caption="""The networks, drawn from the modules that are trained: sizes of the maps and features, and
        numbers of parameters, for images of the study's size.""",
        inputs={"layers": "tables/layers.tsv"},
    ),
    "training_{architecture}_{training_set}": FigureEntry(
        draw="training.draw_training",
        category="Networks",
        label="training",
        contents="training of the classifiers of one architecture on one training set",
        columns="""*condition* seed epoch train_loss train_balanced_accuracy_percent validation_loss
        validation_balanced_accuracy_percent best""",
        caption="""Training of one architecture on one training set: cross entropy and balanced accuracy on
        training and validation images by epoch. Thin lines are single runs, thick ones their means; circles
        mark the epoch of each run that validation selected.""",
        inputs={"histories": "tables/histories.tsv"},
    ),
    "saliency": FigureEntry(
        draw="saliency.draw_saliency",
        category="Networks",
        label="attributions",
        contents="where in the images the classifiers find their answer",
        columns="""network *condition* seed validation_percent method steps diagnosis n_images
        sum_error_percent region mean_percent sd_percent intensity_percent""",
        caption="""What the networks look at: mean attribution of their answer to the voxels of the test
        images, by class, for the networks trained on real images.""",
        inputs={
            "stacks": "cnn/{saliency_condition}/saliency.safetensors",
            "tables": "cnn/{saliency_condition}/saliency.tsv",
        },
        arguments=("training_cohort",),
        needs="saliency",
    ),
    "search_{resolution}": FigureEntry(
        draw="search.draw_search",
        category="Networks",
        label="random search",
        contents="the candidates of the random search",
        columns="""rank candidate status mean_percent sd_percent se_percent fold_*_percent n_blocks
        first_channels n_convolutions n_fully_connected dropout learning_rate weight_decay n_parameters""",
        caption="""The random search: mean validation balanced accuracy of every candidate architecture in
        cross-validation on the real images of train-full.""",
        inputs={
            "leaderboard": "search/resolution-{resolution}/leaderboard.tsv",
            "summary": "search/resolution-{resolution}/leaderboard.json",
        },
        needs="search",
    ),
    "split": FigureEntry(
        draw="diagrams.draw_split",
        category="Data",
        label="split",
        contents="from all images to the sets",
        columns="cohort event name inside reason n n_AD n_CN",
        caption="""From all images to the sets of the study: what each step of preprocessing and quality
        control leaves, what it leaves out and why, and the participants of the training, validation and test
        sets. Smaller training sets lie within train-full; the independent cohort is only tested on.""",
        inputs={
            "images": "cohorts/cohort-{each_cohort}/images.tsv",
            "quality": "quality/cohort-{each_cohort}/quality.tsv",
            "metrics": "quality/cohort-{each_cohort}/metrics.tsv",
            "split": "split/split.tsv",
            "independent": "split/independent.tsv",
        },
        arguments=("cohorts",),
    ),
    "scheme": FigureEntry(
        draw="diagrams.draw_scheme",
        category="Data",
        label="scheme",
        contents="the scheme of augmentation",
        columns="training_set n_AD n_CN generated_AD generated_CN training_data generator variants",
        caption="""How the classifiers are trained and tested: one model per training set and class makes
        synthetic images (RHVAE: Riemannian Hamiltonian variational autoencoder); convolutional neural
        networks (CNN) are trained on real images, synthetic images, or both. Validation chooses the epoch;
        the test sets choose nothing.""",
        inputs={"split": "split/split.tsv", "independent": "split/independent.tsv"},
        arguments=("training_cohort", "conditions", "generated_per_class", "n_seeds"),
    ),
}


def short_name(pattern: str) -> str:
    """Return a figure's name without its wildcards.

    Examples
    --------
    >>> short_name("confusion_{architecture}_{cohort}")
    'confusion'
    """
    return pattern.partition("_{")[0]


def log_name(pattern: str) -> str:
    """Return the place of a figure's log without its ending: wildcards below the figure's name.

    Examples
    --------
    >>> log_name("confusion_{architecture}_{cohort}")
    'confusion/{architecture}_{cohort}'
    """
    return pattern.replace("_{", "/{", 1)


def wildcards_of(pattern: str) -> list[str]:
    """List the wildcards in a figure's name."""
    return re.findall(r"{(\w+)}", pattern)


def entry_of(name: str) -> FigureEntry | None:
    """Return the entry of a figure's file; None for a figure that is not known.

    Examples
    --------
    >>> entry_of("training_baseline_train-50").label, entry_of("seeds").label, entry_of("seedling")
    ('training', 'every run', None)
    """
    known = {short_name(pattern): entry for pattern, entry in FIGURES.items()}
    found = [short for short in known if name == short or name.startswith(f"{short}_")]
    return known[max(found, key=len)] if found else None
