"""The keys of cohorts, preprocessing, quality control and split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rhvae_mri.study.keys import (
    Count,
    Distinct,
    ElementType,
    Entity,
    Meaning,
    Participants,
    Positive,
    Section,
    Some,
    Threads,
    Variable,
    key,
)


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
        default={"ADNI": SimulatedParticipants(AD=80, CN=80), "AIBL": SimulatedParticipants(AD=6, CN=10)},
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
    voxel_size: int = key(6, "P", study=1, unit="mm", decides=True, ge=1, le=8)
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

    These levels are for grids of 4 to 6 mm, those of config/paper.yaml, the study's, for 1 mm.
    """

    shrink_factors: Some[Count] = key([4, 2, 1], "C", study=[8, 4, 2, 1])
    """Shrink factor of the template at each level."""
    smoothing: Some[Annotated[float, Field(ge=0)]] = key([8, 4, 2], "C", study=[3, 2, 1, 0])
    """Standard deviation of the smoothing at each level."""
    smoothing_unit: Literal["vox", "mm"] = key("mm", "C", study="vox")
    """Unit of the smoothing: voxels or mm."""
    iterations: Some[Annotated[int, Field(ge=0)]] = key([1000, 500, 5], "C", study=[1000, 500, 250, 0])
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
    threads: Threads = key(2, alters_results=False)
    """Images that are measured, pictures of the audit that are drawn, and files whose digests are taken, at a
    time. Without effect on results: each image is measured with one thread."""
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

    n_test_per_class: Count = key(24, "P", study=100, decides=True)
    """Test participants per diagnosis."""
    validation_fraction: float = key(0.2, "P", study=0.2, decides=True, gt=0, lt=1)
    """Fraction of the other participants that validate, n = int(fraction * N) per class."""
    train_subsets: Distinct[Annotated[int, Field(ge=2)]] = key([20], "P", study=[50])
    """Sizes per class of the small training sets inside train-full."""
    redraw_subsets: bool = key(False, "ours")
    """Whether each replicate of the generators (`rhvae.replicates`) has draws of its own of these training
    sets, in all conditions: results are then about such sets, not about one draw."""
    n_oracle_per_class: Participants = key(0, "ours")
    """Participants per diagnosis of a simulated cohort that are kept apart for the generator `oracle`."""
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
