"""Every key of the configuration: type, default, bounds, what it means and where its value comes from.

The one source: `make docs` writes the schema, ``config/config.yaml`` and ``config/README.md`` from it.
Rules between keys are in `rhvae_mri.study.checks`.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

#: Where a value comes from: published, the study's public code, assumed, ours. What has a D is reported as an
#: assumption.
Mark = Literal["P", "C", "D", "C/D", "P/C", "ours"]


def key(
    default: Any,
    mark: Mark | None = None,
    *,
    study: Any = None,
    known: str | None = None,
    unit: str | None = None,
    decides: bool = False,
    alters_results: bool = True,
    **bounds: Any,
) -> Any:
    """Describe a key: ``study`` is the published study's value, ``known`` what is known of an assumed one.

    With ``decides``, results are comparable with the published ones at the study's value only. What alters no
    result, such as places and threads, is not among the parameters of a job (`settings` in the rules).
    """
    marks = {"mark": mark, "study": study, "assumption": known, "unit": unit}
    marks |= {"published": study if decides else None}
    extra: dict[str, Any] = {name: value for name, value in marks.items() if value is not None}
    extra |= {} if alters_results else {"alters_results": False}
    return Field(default=default, json_schema_extra=extra, **bounds)


def _differ(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("twice", "it has a value twice")
    return values


def _ascend(ends: list[Any]) -> list[Any]:
    if ends[0] > ends[1]:
        raise PydanticCustomError("upside_down", "give the lower end of the range first")
    return ends


T = TypeVar("T", bound=Hashable)
Count = Annotated[int, Field(ge=1)]
Threads = Annotated[int, Field(ge=1, le=64)]
Participants = Annotated[int, Field(ge=0, le=100_000)]
Positive = Annotated[float, Field(gt=0)]
Some = Annotated[list[T], Field(min_length=1)]
Distinct = Annotated[list[T], AfterValidator(_differ), Field(json_schema_extra={"uniqueItems": True})]
SomeDistinct = Annotated[Distinct[T], Field(min_length=1)]
Pair = Annotated[list[T], Field(min_length=2, max_length=2), AfterValidator(_ascend)]
TrainingSet = Annotated[str, Field(pattern=r"^train-(full|[0-9]+)$")]
Architecture = Literal["baseline", "optimized"]
TrainingData = Literal["real", "classic", "synthetic", "augmented"]
ElementType = Literal["float32", "float16"]
Variable = Literal["age", "sex", "site", "diagnosis", "mmse", "cdr"]
Meaning = Literal["AD", "CN", "MCI", "M", "F", "n/a"]
CohortName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
Entity = Annotated[str, Field(pattern=r"^[a-z]+-[A-Za-z0-9+]+$")]


class Section(BaseModel):
    """A part of the configuration: no other keys, no text for a number, no infinite number."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Study(Section):
    """The study as a whole."""

    name: str = key("Simulated study", min_length=1)
    """Name that stands on tables and figures."""
    seed: int = key(20220503, "ours", ge=0, le=2**53 - 1)
    """The study's seed; every random draw derives from it and from the name of the work."""
    device: Literal["auto", "cpu", "cuda"] = key("auto", alters_results=False)
    """`auto` computes on a GPU where there is one; `cpu` and `cuda` force the choice. Another choice runs
    nothing again."""


class Cohort(Section):
    """Where a cohort comes from."""

    source: Literal["simulated", "download", "bids", "oasis1", "none"] = Field(
        json_schema_extra={"study": "download"}
    )
    """`simulated`: made by the workflow; `download`: the study's own DICOM download and tables, converted by
    Clinica (both: ADNI and AIBL only); `bids`: a BIDS folder that exists already, no converter runs;
    `oasis1`: the download of OASIS-1, converted by Clinica (further cohorts only); `none`: the study does
    without this cohort."""
    role: Literal["train", "test"] = key("test", "P")
    """What the study does with the cohort: one is `train`, split into training, validation and test; the
    others are tested on."""
    images: str | None = key(None, alters_results=False)
    """Folder of the image download (source: download or oasis1)."""
    tables: str | None = key(None, alters_results=False)
    """Folder of the clinical tables, CSV (source: download or oasis1)."""
    bids: str | None = key(None, alters_results=False)
    """Folder of the data set in BIDS (source: bids)."""
    require_diagnosis: bool = key(True)
    """Whether an image without a stable AD or CN diagnosis is left out. `false` preprocesses and checks every
    first image and is meant for audits: the split still takes AD and CN only."""
    columns: dict[Variable, str] | None = key(None, "ours")
    """Columns of participants.tsv or sub-*_sessions.tsv with names that are not the usual ones, e.g. `{age:
    age_at_scan, diagnosis: status}`; null: the usual names."""
    values: dict[Variable, dict[Meaning, list[str | int | float]]] | None = key(None, "ours")
    """What cells of the tables mean, where they are not written as usual, e.g. `{diagnosis: {AD: [1, 2], CN:
    [0]}, sex: {M: [1], F: [2]}, age: {n/a: [-4, 999]}}`; `n/a` declares missing values; null: the usual
    spellings."""
    prefer: list[Entity] | None = key(None, "ours")
    """Entities of file names whose T1-weighted images are taken first where a session has several, e.g.
    `[acq-mprage, rec-norm]`; null: the order of docs/cohorts.md."""
    allow_missing: bool = key(False, "ours", alters_results=False)
    """Whether the study goes on without the images of a DataLad or git-annex dataset that were not
    fetched."""


class SimulatedParticipants(Section):
    """Simulated participants of a cohort with a good scan."""

    AD: Participants
    """Participants with Alzheimer's disease at every visit."""
    CN: Participants
    """Cognitively normal participants."""


class Simulation(Section):
    """The simulated downloads, at the template's voxel size; without effect on other cohorts."""

    tables: Literal[2018, 2026] = key(2026, "ours")
    """Year whose form the simulated ADNI download has: `2018`, the tables that Clinica reads, or `2026`, the
    names, columns and folders that LONI gives out now, with pre-processed images and ADNI 4 beside the
    study's. Participants and scans are the same; AIBL's download has one form."""
    special_cases: bool = key(True, "ours")
    """Whether some more participants are not for the study: with MCI, a diagnosis that changes, no image, a
    series that is cut short, a wrong field of view, or motion."""
    participants: dict[Literal["ADNI", "AIBL"], SimulatedParticipants] = Field(
        default={"ADNI": SimulatedParticipants(AD=25, CN=25), "AIBL": SimulatedParticipants(AD=5, CN=8)},
        json_schema_extra={"mark": "ours"},
    )
    """How many participants with a good scan each cohort has; `snakemake estimate` takes these numbers for
    cohorts of any source."""


class Template(Section):
    """The template that images are registered to."""

    source: Literal["simulated", "descriptor", "file"] = key("simulated")
    """`simulated`: average head with the simulated skull and scalp; `descriptor`: downloaded as described in
    resources/template.json, MNI152NLin2009cSym [P]; `file`: a file of yours."""
    file: str | None = key(None, alters_results=False)
    """NIfTI file of a whole-head template in MNI space (source: file)."""
    voxel_size: int = key(4, "P", study=1, unit="mm", decides=True, ge=1, le=8)
    """Voxel size in mm of the grid that images are registered to: 1 is the study's, larger ones cover the
    same field of view more coarsely. Simulated scans have it too, times 1.0 to 1.25 by site."""


class BiasCorrection(Section):
    """N4 bias field correction, `N4BiasFieldCorrection -d 3 -b [600]`, else ANTs' defaults [C]."""

    spline_distance: Positive = key(600, "C", study=600, unit="mm")
    """Distance in mm between the control points of the B-spline field; Clinica 0.12 has 200."""
    padding: Literal["ants", "coarse"] = key("ants", "C", study="ants")
    """Who pads the image to whole spline distances: `ants` itself, at full resolution, the study's call (5.6
    GB at 1 mm); or `coarse`, the same voxels padded after ANTs' shrinking (0.4 GB), whose images differ by
    1e-5 at most on real heads [ours]."""


class Registration(Section):
    """Affine registration, the recipe of `antsRegistrationSyNQuick.sh -t a` [C].

    Images much finer than the template's grid register better with levels in mm.
    """

    shrink_factors: Some[Count] = key([8, 4, 2, 1], "C", study=[8, 4, 2, 1])
    """Shrink factor of the template at each level."""
    smoothing: Some[Annotated[float, Field(ge=0)]] = key([3, 2, 1, 0], "C", study=[3, 2, 1, 0])
    """Standard deviation of the smoothing at each level."""
    smoothing_unit: Literal["vox", "mm"] = key("vox", "C", study="vox")
    """Unit of the smoothing: voxels or mm."""
    iterations: Some[Annotated[int, Field(ge=0)]] = key([1000, 500, 250, 0], "C", study=[1000, 500, 250, 0])
    """Most iterations at each level, the same for the rigid and the affine stage."""


class DeepQuality(Section):
    """Check by a pretrained network on three slices (deep-qc of V. Fonov, as ClinicaDL runs it)."""

    source: Literal["none", "descriptor", "file"] = key("none")
    """`none`: not run, and reported so; `descriptor`: weights downloaded as described in
    resources/deep_quality.json [C]; `file`: a file of yours. The networks know real heads only, so the
    simulated study runs none."""
    network: Literal["resnet18", "squeezenet1_1"] = key("resnet18", "C", study="resnet18")
    """`squeezenet1_1` is an older one of the same author."""
    file: str | None = key(None, alters_results=False)
    """File with the network's weights, .pth, .pth.tar or .safetensors (source: file)."""
    threshold: float = key(0.5, "C", study=0.5, ge=0, le=1)
    """Probability above which an image passes."""


class Quality(Section):
    """Quality checks of the registered, uncropped images."""

    limits: bool = key(True, "ours")
    """Leave out images that are no whole, aligned, T1-weighted head by `pattern`, `turn_margin`,
    `brain_shown` or `scalp` (docs/results.md), or whose `pattern` is far below the cohort's (`outlier_z`);
    false for contrasts or parts of heads that these limits were not made for."""
    outlier_z: Positive = key(6.0, "ours")
    """Robust z-score over the cohort from which a metric is flagged for the auditor; a flag alone leaves no
    image out, but for `pattern` (`limits`)."""
    threads: Threads = key(1, alters_results=False)
    """Images that are measured, and pictures of the audit that are drawn, at a time, per cohort; threads of
    the pretrained network."""
    deep: DeepQuality = DeepQuality()


class Tensors(Section):
    """Packing of images into tensors. Min-max rescaling to [0, 1] per image [P], NaN to 0 [C]."""

    dtype: ElementType = key("float32", "C", study="float32")
    """Element type in the files."""
    align_corners: bool = key(
        False, "D", known="trilinear interpolation is published, its corner convention is not"
    )
    """Corner convention of the trilinear down-sampling to half the size."""


class Split(Section):
    """The split of the cohort that is trained on."""

    n_test_per_class: Count = key(10, "P", study=100, decides=True)
    """Test participants per diagnosis."""
    validation_fraction: float = key(0.2, "P", study=0.2, decides=True, gt=0, lt=1)
    """Fraction of the other participants that validate, n = int(fraction * N) per class."""
    train_subsets: Distinct[Annotated[int, Field(ge=2)]] = key([8], "P", study=[50])
    """Sizes per class of the small training sets inside train-full."""
    aibl_per_class: Literal["all"] | Count = key("all", "P/C")
    """Participants per class of the AIBL test set: `all` (76 AD and 429 CN in the public code), or a number
    drawn at random (100 in the page's figure)."""
    p_threshold: float = key(0.8, "C", study=0.8, ge=0, lt=1)
    """Age (t-test) and sex (chi-square) of the sets must reach this p-value, or the draw is repeated."""
    site_threshold: float = key(
        0.05,
        "D",
        known="the paper says that site distributions do not differ significantly; neither test nor level is "
        "known",
        ge=0,
        lt=1,
    )
    """The same for the distribution of sites."""
    require_balance: bool = key(True, "ours")
    """What to do when no draw is balanced: stop with an error (true), or warn and take the best one."""


class RHVAE(Section):
    """The Riemannian Hamiltonian VAE, one per class and training set [P]."""

    latent_dimension: int = key(10, "C", study=10, ge=1, le=1000)
    """Latent dimension."""
    networks: Literal["mlp", "convolutional"] = key(
        "mlp", "C/D", study="mlp", known="multi-layer perceptrons in Pyraug's default for images of this size"
    )
    """`mlp`: the study's multi-layer perceptrons; `convolutional`: 3-D convolutions with far fewer
    parameters, which the study does not have."""
    encoder_layers: Some[Count] = key(
        [200], "C/D", study=[500, 500, 400], known="500, 500, 400 in Pyraug's default for images of this size"
    )
    """Hidden units of the encoder."""
    decoder_layers: Some[Count] = key(
        [64], "C/D", study=[400, 500, 500], known="400, 500, 500 in Pyraug's default for images of this size"
    )
    """Hidden units of the decoder."""
    metric_layers: Some[Count] = key(
        [20], "C/D", study=[400], known="400 in Pyraug's default for images of this size"
    )
    """Hidden units of the metric network."""
    channels: Some[Count] = key([8, 16, 32, 64], "ours")
    """Channels of the convolutions, from the image to the latent space; each layer halves the image
    (`networks: convolutional` only)."""
    leapfrog_steps: int = key(3, "C/D", study=3, known="3 in Pyraug's default", ge=1, le=1000)
    """Leapfrog steps."""
    leapfrog_step_size: Positive = key(
        0.001,
        "C/D",
        study=0.001,
        known="1e-3 in Pyraug's default; 1e-2 in the authors' code for another paper",
    )
    """Leapfrog step size."""
    sqrt_beta_zero: float = key(0.3, "C", study=0.3, gt=0, le=1)
    """Square root of the initial inverse temperature."""
    temperature: Positive = key(1.5, "C/D", study=1.5, known="1.5 in Pyraug's default")
    """Temperature T of the metric."""
    regularization: Positive = key(
        0.01, "C/D", study=0.01, known="1e-2 in Pyraug's default; 1e-3 in the authors' code for another paper"
    )
    """Regularization lambda of the metric."""
    integrator: Literal["published", "generalized"] = key("published", "C")
    """`published`: what the public implementations compute, with the position moved by the metric at its old
    place and parts of the step held constant in the gradient; `generalized`: the leapfrog implicit in both,
    differentiated in full."""
    reconstruction: Literal["bce", "mse"] = key("bce", "C")
    """Reconstruction term: `bce` as in Pyraug, `mse` (half the summed squared error) as in pythae."""
    learning_rate: Positive = key(
        0.001, "D", study="1e-5 to 1e-4", known="1e-5 to 1e-4 in the public examples"
    )
    """Learning rate of Adam."""
    batch_size: int = key(8, "D", known="not known", ge=2)
    """Images per step."""
    max_epochs: Count = key(100, "D", known="not known")
    """Most epochs."""
    patience: Count = key(50, "D", study=50, known="50 in the public code")
    """Epochs without a better training loss before training stops."""
    threads: Threads = key(1, alters_results=False)
    """CPU threads per job."""


class Synthetic(Section):
    """Synthetic images from the trained models."""

    sizes: SomeDistinct[Annotated[int, Field(ge=2)]] = key(
        [20, 40], "P", study=[500, 1000, 2000, 3000, 5000, 10000]
    )
    """Sizes of the synthetic sets."""
    count: Literal["total", "per_class"] = key(
        "total", "D", known="sizes are published; whether they count both classes together or each is not"
    )
    """Whether a size counts the set (half of it per class) or each class."""
    steps: Count = key(
        100, "C/D", study=100, known="100 in Pyraug's default; 400 in the authors' code for another paper"
    )
    """Steps of the HMC sampler."""
    leapfrog_steps: Count = key(15, "C/D", study=15, known="15 in Pyraug's default")
    """Leapfrog steps of the sampler."""
    leapfrog_step_size: Positive = key(
        0.03, "C/D", study=0.03, known="0.03 in Pyraug's default; 0.05 in the authors' code for another paper"
    )
    """Leapfrog step size of the sampler."""
    dtype: ElementType = key("float32", "ours")
    """Element type of the images: float16 halves the disk space; images in [0, 1] are then read back with a
    difference of at most 0.00025."""


class Epochs(Section):
    """Epochs of each network."""

    baseline: Count = key(20, "P", study=100, decides=True)
    """Epochs of the baseline network."""
    optimized: Count = key(20, "P", study=50, decides=True)
    """Epochs of the optimized network."""


class CNN(Section):
    """The convolutional networks."""

    optimized: Literal["published", "searched"] = key("published", "P", study="published", decides=True)
    """The network called optimized: the published one, or the winner of this study's own search (`searched`),
    with its learning rate, weight decay and dropout; the search then runs first."""
    epochs: Epochs = Epochs()
    learning_rate: Positive = key(0.0005, "D", study="1e-4", known="1e-4 in the neighbouring public scripts")
    """Learning rate of Adam."""
    weight_decay: float = key(0.0, "D", study=0.0, known="0 or 1e-4 in the neighbouring public scripts", ge=0)
    """Weight decay of Adam."""
    batch_size: int = key(4, "D", known="2 to 12 in the neighbouring public scripts", ge=2)
    """Images per step."""
    precision: Literal["float32", "bfloat16"] = key("float32", "ours")
    """In which type the networks multiply, in training and evaluation: float32, or bfloat16 with weights,
    statistics and sums in float32. bfloat16 is faster and changes the outputs by 1 to 3 %."""
    resident_gb: float = key(4.0, "ours", alters_results=False, ge=0)
    """Image sets of at most this size, in GB, are kept in memory (on a GPU: in its memory), in the type in
    which they are stored (`tensors: dtype`, `synthetic: dtype`); larger ones are read batch by batch from
    their memory-mapped file. Without effect on results."""
    seeds: int = key(5, "P", study=20, ge=1, le=10_000)
    """Independent runs of each condition."""
    seeds_per_job: int = key(5, "ours", alters_results=False, ge=1, le=10_000)
    """Runs in one job: more start faster, fewer spread better over a cluster. Without effect on results; but
    where the number of runs is not a multiple of it, adding runs trains the last, partial job again."""
    threads: Threads = key(1, alters_results=False)
    """CPU threads per job."""


class ExcludedCondition(Section):
    """Conditions that are left out: those with all these values."""

    architecture: Architecture | None = None
    training_set: TrainingSet | None = None
    training_data: TrainingData | None = None
    n_synthetic: Annotated[int, Field(ge=0)] | None = None
    resolution: Literal["full", "downsampled"] | None = None

    @model_validator(mode="after")
    def _name_something(self) -> ExcludedCondition:
        if not self.model_fields_set:
            raise PydanticCustomError("empty", "it has to name something")
        return self


class Grid(Section):
    """Which conditions are trained."""

    architectures: SomeDistinct[Architecture] = key(
        ["baseline", "optimized"], "P", study=["baseline", "optimized"]
    )
    """Networks."""
    training_sets: SomeDistinct[TrainingSet] = key(
        ["train-8", "train-full"], "P", study=["train-50", "train-full"]
    )
    """Training sets."""
    training_data: SomeDistinct[TrainingData] = key(
        ["real", "synthetic", "augmented"], "P", study=["real", "synthetic", "augmented"]
    )
    """Training data: real images, synthetic images, both (augmented); `classic`: real images under classic
    augmentation, for comparison [ours]."""
    full_resolution: bool = key(False, "P", study=True)
    """Whether `real` is also trained on images that are not down-sampled."""
    exclude: list[ExcludedCondition] = key([], "ours")
    """Conditions that are left out: each entry names some of `architecture`, `training_set`, `training_data`,
    `n_synthetic` and `resolution`, and every condition with all these values is not trained."""


class SearchSpace(Section):
    """What candidates are drawn from; pairs are the ends of a range."""

    n_blocks: Pair[Annotated[int, Field(ge=1, le=12)]] = key(
        [2, 6], "D", study=[2, 6], known="2 to 6 in the search tool's shipped example"
    )
    """Convolutional blocks."""
    first_channels: SomeDistinct[Count] = key(
        [2, 4, 5, 8, 16, 32],
        "D",
        known="4, 8, 16, 32 or 2, 5 in the search tool's shipped examples; the published winner has 5",
    )
    """Output channels of the first block: one of these. Both lists of the tool's example, the published
    winner has 5."""
    convolutions_per_block: Pair[Annotated[int, Field(ge=1, le=10)]] = key(
        [1, 3], "D", study=[1, 3], known="1 to 3 in the search tool's shipped example"
    )
    """Convolutions in each block."""
    channel_limit: Count = key(
        256,
        "C/D",
        study=256,
        known="doubling is in the public code; 256 is the limit of the search tool's shipped example",
    )
    """The channels double from block to block, up to this number."""
    n_fully_connected: Pair[Annotated[int, Field(ge=1, le=10)]] = key(
        [1, 3], "D", study=[1, 3], known="1 to 3 in the search tool's shipped example"
    )
    """Fully connected layers; their widths fall geometrically to the two outputs."""
    dropout: Pair[Annotated[float, Field(ge=0, lt=1)]] = key(
        [0.0, 0.9], "D", study=[0.0, 0.9], known="0 to 0.9 in the search tool's shipped example"
    )
    """Dropout before the classifier, drawn evenly."""
    learning_rate: Pair[Positive] = key(
        [1e-5, 0.01], "D", study=[1e-5, 0.01], known="1e-5 to 1e-2 in the search tool's shipped example"
    )
    """Learning rate of Adam, drawn evenly in its logarithm."""
    weight_decay: Pair[Positive] = key(
        [1e-4, 0.01],
        "D",
        study=[1e-4, 0.01],
        known="1e-4 to 1e-2 in the search tool's shipped example, or none",
    )
    """Weight decay of Adam, drawn evenly in its logarithm."""
    weight_decay_probability: float = key(
        0.5,
        "D",
        known="none or some in the search tool's shipped example; the share is not known",
        ge=0,
        le=1,
    )
    """Share of the candidates that have a weight decay; the others have none."""
    max_parameters: Count | None = key(100_000_000, "ours")
    """Larger networks are drawn again: with few poolings and wide layers the space holds networks of up to
    280 billion weights; the study's largest has 42 million."""


class Search(Section):
    """The random search for an architecture on the real images of train-full, for each resolution [P]."""

    candidates: int = key(3, "P", study=100, ge=1, le=100_000)
    """Random architectures."""
    folds: int = key(2, "P", study=5, ge=2, le=100)
    """Folds of the cross-validation."""
    epochs: Count = key(
        2,
        "D",
        study="50, those of the winner",
        known="50 for the network that won; those of the search are not known",
    )
    """Epochs of each training."""
    candidates_per_job: Count = key(3, "ours", alters_results=False)
    """Candidates in one job, each with all its folds. Without effect on results."""
    space: SearchSpace = SearchSpace()


class Saliency(Section):
    """What the networks look at: attributions of their answers to the voxels of the test images [ours]."""

    steps: int = key(64, "ours", ge=1, le=10_000)
    """Places on the way from the empty image at which integrated gradients take the gradient; the figure says
    how far the sum is off."""


class Statistics(Section):
    """The statistics of the results [ours]."""

    resamples: int = key(2000, "ours", ge=100, le=100_000)
    """Bootstrap resamples over participants and runs, and permutations of the tests over participants."""
    confidence: float = key(0.95, "ours", ge=0.5, le=0.999)
    """Coverage of all intervals; the level of the tests is 1 less this."""
    equivalence_margin: float = key(5.0, "ours", unit="percentage points", gt=0, le=50)
    """Difference from a published mean, in percentage points, that counts as none: smaller ones are shown to
    be so by two one-sided tests."""
    minimum_runs: int = key(10, "ours", ge=2, le=1000)
    """Runs of a condition below which its results get no verdict on whether they reproduce the published
    ones."""


class Estimate(Section):
    """What a study will cost, from the benchmarks of a smaller one (`snakemake estimate`)."""

    reference: str = key("results", "ours", alters_results=False, min_length=1)
    """Results folder of a finished study of this workflow, e.g. of `make demo`."""
    gpu_speedup: Pair[Annotated[float, Field(gt=0, le=100_000)]] = key(
        [10, 200], "ours", alters_results=False
    )
    """How many CPU cores a GPU is worth, at least and at most; an assumption, used where the reference was
    computed without a GPU."""


class Configuration(Section):
    """Every key of the configuration.

    Marks: [P] published, [C] read from the public code that the study used, [D] not readable: a documented
    default or our choice, reported as an assumption, [ours] no counterpart in the study.
    """

    pathvars: dict[str, str] = key({"results": "results"}, alters_results=False)
    """Where the workflow writes; `results` is the root of everything. Give each study its own."""
    study: Study = Study()
    cohorts: dict[CohortName, Cohort] = Field(
        default={
            "ADNI": Cohort(source="simulated", role="train"),
            "AIBL": Cohort(source="simulated"),
        }
    )
    """The cohorts: ADNI is split into training, validation and test [P]; AIBL is an independent test cohort
    [P]. Further cohorts, under any name of letters and digits, are given in the same way."""
    exclude: str | None = key(None, alters_results=False)
    """Table of an auditor's decisions on single images (config/exclude.tsv is an empty one; columns cohort,
    participant_id, session_id, decision, reason, who, date), or null. `exclude` leaves an image out, `keep`
    keeps it though a check failed, `replace` takes the participant's next usable visit instead."""
    simulation: Simulation = Simulation()
    template: Template = Template()
    bias_correction: BiasCorrection = BiasCorrection()
    registration: Registration = Registration()
    quality: Quality = Quality()
    tensors: Tensors = Tensors()
    split: Split = Split()
    rhvae: RHVAE = RHVAE()
    synthetic: Synthetic = Synthetic()
    cnn: CNN = CNN()
    grid: Grid = Grid()
    search: Search = Search()
    saliency: Saliency = Saliency()
    statistics: Statistics = Statistics()
    estimate: Estimate = Estimate()


@cache
def build_schema() -> dict[str, Any]:
    """Build the JSON schema, without references; a description ends with the study's value and the mark."""
    schema = Configuration.model_json_schema()
    sections = schema.pop("$defs")

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolve(sections[node["$ref"].rpartition("/")[2]])
        resolved = {name: resolve(value) for name, value in node.items() if name != "title"}
        if "description" in node:
            resolved["description"] = " ".join(node["description"].split())
        if "mark" in node:
            value = f" {plain(node['study'])}" if "study" in node else ""
            resolved["description"] += f"{value} [{node['mark']}]"
        return resolved

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **resolve(schema)}


def plain(value: Any) -> str:
    """Write a value as a person does: lists without brackets."""
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
