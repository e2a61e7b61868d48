"""The keys of generative models, classifiers, the search and the statistics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rhvae_mri.study.keys import (
    Architecture,
    Count,
    ElementType,
    GeneratorName,
    Pair,
    Positive,
    Section,
    Some,
    SomeDistinct,
    Threads,
    TrainingData,
    TrainingSet,
    key,
)


class RHVAE(Section):
    """The Riemannian Hamiltonian VAE, one per class and training set [P]."""

    latent_dimension: int = key(10, "C", study=10, ge=1, le=1000)
    """Latent dimension."""
    networks: Literal["mlp", "convolutional"] = key(
        "mlp", "C/D", study="mlp", known="multi-layer perceptrons in Pyraug, whatever the images' size"
    )
    """`mlp`: the study's multi-layer perceptrons; `convolutional`: 3-D convolutions with far fewer
    parameters, which the study does not have."""
    encoder_layers: Some[Count] = key(
        [200],
        "C/D",
        study=[500, 500, 400],
        known="500, 500, 400 for images of this size in Pyraug's history; its releases have 500 alone",
    )
    """Hidden units of the encoder."""
    encoder_last_activation: Literal["relu", "none"] = key(
        "relu", "C/D", study="none", known="none in the code that has the layers of 500, 500, 400 units"
    )
    """Activation after the last hidden layer of the encoder; all others have ReLU (`networks: mlp` only)."""
    decoder_layers: Some[Count] = key(
        [200],
        "C/D",
        study=[400, 500, 500],
        known="400, 500, 500 for images of this size in Pyraug's history; its releases have 500 alone",
    )
    """Hidden units of the decoder."""
    metric_layers: Some[Count] = key(
        [20],
        "C/D",
        study=[400],
        known="400 for images of this size in Pyraug's history; its releases have 500",
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
    fixed_point_tolerance: float = key(0.0, "ours", ge=0, lt=1)
    """Relative change at which the implicit equations of a `generalized` step count as solved, in
    training and, with either integrator, where likelihoods are estimated; at most 100 iterations, and after
    the third only while they come nearer. 0: three iterations, as in the public code. What they leave is
    `flow_volume_error` in the tables of the generators' quality."""
    reconstruction: Literal["bce", "mse"] = key("bce", "C")
    """Reconstruction term: `bce` as in Pyraug, `mse` (half the summed squared error) as in pythae."""
    learning_rate: Positive = key(
        0.002, "C/D", study="1e-4", known="1e-4 in Pyraug's default; 1e-5 to 1e-4 in the public examples"
    )
    """Learning rate of Adam."""
    batch_size: int = key(8, "C/D", study=50, known="50 in Pyraug's default", ge=2)
    """Images per step."""
    max_epochs: Count = key(160, "C/D", study=10_000, known="10,000 in Pyraug's default")
    """Most epochs."""
    patience: Count = key(50, "C/D", study=50, known="50 in Pyraug's default")
    """Epochs without a better loss before training stops: of the training images, or of those held out."""
    hold_out_fraction: float = key(0.0, "ours", ge=0, lt=1)
    """Share of each training set that the generator is not trained on: the loss of these images then decides
    when training stops and which weights are the best. 0: the training loss does, as in the public code."""
    start_at_mean_image: bool = key(False, "ours")
    """Whether the decoder begins at the mean training image, by the biases of its last layer, which otherwise
    are random (`networks: mlp` only)."""
    replicates: int = key(1, "ours", ge=1, le=100)
    """Models of each generator (the RHVAE or another) per class and training set, each with synthetic images
    of its own: run s of a condition is trained with those of model s modulo their number. With one, as
    published, intervals and tests hold for this one model; with several, for the generator."""
    threads: Threads = key(1, alters_results=False)
    """CPU threads per job. Part of the result, although a change of it runs nothing again: sums in another
    order end in other digits, and a network with other digits may choose another epoch. With one thread
    results repeat (docs/use.md); more jobs at a time use the other cores."""


class Synthetic(Section):
    """Synthetic images from the trained models."""

    sizes: SomeDistinct[Annotated[int, Field(ge=2)]] = key(
        [90], "P", study=[500, 1000, 2000, 3000, 5000, 10000]
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
    learning_rate: Positive = key(0.001, "D", study="1e-4", known="1e-4 in the neighbouring public scripts")
    """Learning rate of Adam."""
    weight_decay: float = key(0.0, "D", study=0.0, known="0 or 1e-4 in the neighbouring public scripts", ge=0)
    """Weight decay of Adam."""
    batch_size: int = key(16, "D", known="2 to 12 in the neighbouring public scripts", ge=2)
    """Images per step."""
    precision: Literal["float32", "bfloat16"] = key("float32", "ours")
    """In which type the networks multiply, in training and evaluation: float32, or bfloat16 with weights,
    statistics and sums in float32. bfloat16 is faster and changes the outputs by 1 to 3 %."""
    resident_gb: float = key(4.0, "ours", alters_results=False, ge=0)
    """Image sets of at most this size, in GB, are kept in memory (on a GPU: in its memory), in the type in
    which they are stored (`tensors: dtype`, `synthetic: dtype`); larger ones are read batch by batch from
    their memory-mapped file. Without effect on results."""
    seeds: int = key(6, "P", study=20, ge=1, le=10_000)
    """Independent runs of each condition."""
    seeds_per_job: int = key(6, "ours", alters_results=False, ge=1, le=10_000)
    """Runs in one job: more start faster, fewer spread better over a cluster. Without effect on results; but
    where the number of runs is not a multiple of it, adding runs trains the last, partial job again."""
    threads: Threads = key(1, alters_results=False)
    """CPU threads per job. Part of the result, although a change of it runs nothing again: sums in another
    order end in other digits, and a network with other digits may choose another epoch. With one thread
    results repeat (docs/use.md); more jobs at a time use the other cores."""


class ExcludedCondition(Section):
    """Conditions that are left out: those with all these values."""

    architecture: Architecture | None = None
    training_set: TrainingSet | None = None
    training_data: TrainingData | None = None
    generator: GeneratorName | None = None
    n_synthetic: Annotated[int, Field(ge=0)] | None = None
    resolution: Literal["full", "downsampled"] | None = None

    @model_validator(mode="after")
    def _name_something(self) -> ExcludedCondition:
        if not self.model_fields_set:
            raise PydanticCustomError("empty", "it has to name something")
        return self


class Grid(Section):
    """Which conditions are trained."""

    architectures: SomeDistinct[Architecture] = key(["baseline"], "P", study=["baseline", "optimized"])
    """Networks."""
    training_sets: SomeDistinct[TrainingSet] = key(["train-full"], "P", study=["train-50", "train-full"])
    """Training sets."""
    training_data: SomeDistinct[TrainingData] = key(
        ["real", "synthetic", "augmented"], "P", study=["real", "synthetic", "augmented"]
    )
    """Training data: real images, synthetic images, both (augmented); `classic`: real images under classic
    augmentation, for comparison [ours]."""
    generators: SomeDistinct[GeneratorName] = key(
        ["rhvae", "real_steps", "class_mean"], "P", study=["rhvae"], max_length=5
    )
    """What makes the synthetic images: `rhvae`, or, for comparison [ours], `vae` (the RHVAE's encoder and
    decoder with a normal prior, without metric and flow), `ppca` (probabilistic principal components), the
    controls `real_steps`, `class_mean` and `jitter` (copies of training images, of the mean image, and of
    training images with noise: no information, only more steps of training; `augmented` only), `oracle` (new
    participants of a simulated cohort, `split.n_oracle_per_class`: what perfect synthesis would give), or a
    name that `generators` has. Figures can tell five apart."""
    full_resolution: bool = key(False, "P", study=True)
    """Whether `real` is also trained on images that are not down-sampled."""
    exclude: list[ExcludedCondition] = key([], "ours")
    """Conditions that are left out: each entry names some of `architecture`, `training_set`, `training_data`,
    `generator`, `n_synthetic` and `resolution`, and every condition with all these values is not trained."""


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


class PrimaryTest(Section):
    """The one test that the study is made for, of augmented images; all others are secondary."""

    architecture: Architecture | None = key(None, "ours")
    """Network; null: the first of the grid."""
    training_set: TrainingSet | None = key(None, "ours")
    """Training set; null: the first of the grid."""
    generator: GeneratorName | None = key(None, "ours")
    """Generator; null: the first of the grid that is no control."""
    n_synthetic: Count | None = key(None, "ours")
    """Number of synthetic images; null: the largest of `synthetic.sizes`."""
    against: GeneratorName | None = key(None, "ours")
    """What it is held against: `real` images alone, or with the images of another generator; null:
    `real_steps` where the grid has it, which takes as many steps of training, otherwise `real`."""
    metric: Literal["balanced_accuracy", "sensitivity", "specificity", "auc"] = key(
        "balanced_accuracy", "ours"
    )
    """Metric."""


class Statistics(Section):
    """The statistics of the results [ours]."""

    primary: PrimaryTest = PrimaryTest()
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
