"""What the rules share: the library, the checked configuration, and the input functions."""

import os
import sys
from contextlib import suppress
from functools import cache
from io import BytesIO
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile


def find_library():
    """The folder of the library, and the commit that it was unpacked from.

    Where another workflow takes these rules from GitHub (`snakedeploy` writes such a workflow), Snakemake
    fetches rules, scripts and environments, but no package. So the library is unpacked from the same commit,
    with the scripts, whose digests are parameters, and the styles and templates, which it reads.
    """
    rules_folder = workflow.current_basedir
    folder = Path(str(rules_folder)).parent
    if folder.is_dir():
        return str(folder), None
    repository = rules_folder.hosted_repo.repo
    commit = repository.commit(rules_folder.ref).hexsha
    source = Path(rules_folder.path).parent
    folder = Path.cwd() / ".snakemake" / "rhvae_mri" / commit
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as place, BytesIO() as archive:
            repository.archive(archive, commit, format="zip", path=[str(source)])
            # this never writes outside of the folder; tarfile's filter does so only since Python 3.11.4
            ZipFile(archive).extractall(place)
            with suppress(OSError):  # another process was faster
                Path(place, source).rename(folder)
    return str(folder), commit


LIBRARY, COMMIT = find_library()
if LIBRARY not in sys.path:
    sys.path.insert(0, LIBRARY)

from rhvae_mri.cost.announcements import announce_start
from rhvae_mri.generators.registry import (
    BUILT_IN,
    check_class,
    class_path,
    export_modules,
    fit_settings,
)
from rhvae_mri.runtime.digests import script_digest
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json, read_tsv, reset_future_times
from rhvae_mri.io.input_folders import digest_of_cohort
from rhvae_mri.runtime.jobs import (
    check_interpreter,
    count_gpus,
    end_jobs_on_interrupt,
    export_library,
    ignore_time_warnings,
    name_user,
)
from rhvae_mri.runtime.locks import claim
from rhvae_mri.runtime.progress import Progress, describe_results, show_progress
from rhvae_mri.provenance.study import code_revision, packages_digest
from rhvae_mri.study.checks import check_configuration, result_settings
from rhvae_mri.study.names import CLASSES
from rhvae_mri.study.grid import (
    CONTROLS,
    NO_GENERATOR,
    OWN_GENERATOR,
    batch_seeds,
    choose_primary,
    condition_path,
    count_replicates,
    drawn_set,
    generated_sets,
    generator_of,
    group_runs,
    is_simulated,
    list_cohorts,
    list_conditions,
    model_folder,
    other_generator,
    replicate_part,
    saliency_conditions,
    synthetic_per_class,
)

export_library()
name_user()
# a terminal sends Ctrl-C to all processes: Snakemake ends the jobs then, and none of them prints a traceback
shell.prefix("set -euo pipefail; trap '' INT; ")
if not workflow.is_main_process:
    ignore_time_warnings()


def workflow_file(path):
    """A file that comes with the workflow, by its path relative to the rules.

    Snakemake remembers the paths of inputs. Below the working directory this one is relative, so that a
    checkout that is moved with its results has nothing to do.
    """
    if COMMIT:
        return workflow.source_path(path)
    file = Path(os.path.normpath(Path(LIBRARY, "rules", path)))
    if file.is_relative_to(Path.cwd()):
        # a module's prefix is for the files of the study
        return local(str(file.relative_to(Path.cwd())))
    return str(file)


def page_files(*names):
    """What a page is made of beside its data: the template and the style of all pages, and its own."""
    names = ("templates/page.html.j2", "style/page.css", *names)
    return [workflow_file(f"../{name}") for name in names]


#: The folder of results as the jobs see it, also where another workflow uses this one with a prefix.
RESULTS = workflow.pathvars.apply(workflow.modifier.modify_path("<results>"))


@cache
def cohort_digest(cohort):
    """Digest of the folders that a cohort comes from; None for a simulated one."""
    record = f"{RESULTS}/conversion/cohort-{cohort}/folders.json"
    return digest_of_cohort(config["cohorts"][cohort], record)


def is_converted(cohort):
    """Whether a cohort's BIDS dataset stands in the results, and its download has not changed since."""
    record = Path(RESULTS, f"conversion/cohort-{cohort}/folders.json")
    if not Path(RESULTS, f"bids/cohort-{cohort}").exists():
        return False
    known = read_json(record).get("digest") if record.is_file() else None
    return known is None or known == cohort_digest(cohort)


try:
    check_interpreter()
    # in place: Snakemake gives this very mapping to the scripts
    complete_config = check_configuration(config)
    config.clear()
    config.update(complete_config)
    # first the one that is trained on; the others are tested on
    COHORTS = list_cohorts(config)
    export_modules(config)
    if workflow.is_main_process:
        from rhvae_mri.convert.sources import check_sources

        for name in config["grid"]["generators"]:
            if name not in BUILT_IN:
                check_class(
                    class_path(config, name),
                    fit_settings(result_settings(config), name),
                )
        check_sources(config, [name for name in COHORTS if not is_converted(name)])
except StudyError as error:
    raise WorkflowError(f"{error}") from None

#: What the run does, for the screen and for `make status`.
PROGRESS = Progress(workflow, RESULTS)
if workflow.is_main_process:
    show_progress(logger, PROGRESS)
TRAINING_COHORT = COHORTS[0]
#: The configuration without what alters no result, such as places and threads.
RESULT_SETTINGS = result_settings(config)
#: The cohorts that a converter makes BIDS datasets of.
CONVERTED = [name for name in COHORTS if config["cohorts"][name]["source"] != "bids"]
#: BIDS entity `res` of the registered images, from the template's voxel size in mm.
RES = "{0}x{0}x{0}".format(config["template"]["voxel_size"])
#: One entry per trained condition: architecture, training_set, training_data, generator, n_synthetic, resolution.
CONDITIONS = list_conditions(config["grid"], config["synthetic"]["sizes"])
#: Architectures with the training sets that they are trained on.
TRAINED = [
    {"architecture": architecture, "training_set": training_set}
    for architecture, training_set in dict.fromkeys(
        (one["architecture"], one["training_set"]) for one in CONDITIONS
    )
]
#: The generators of synthetic images, each with the training sets that it learns.
GENERATED = generated_sets(CONDITIONS)
GENERATORS = list(dict.fromkeys(generator for generator, _ in GENERATED))
#: How many replicates each generator has, and whether each has its own draw of a smaller training set.
REPLICATION = config["rhvae"]["replicates"], config["split"]["redraw_subsets"]
#: The training sets of the RHVAE, which has figures of its own.
RHVAE_TRAINING_SETS = [
    training_set for generator, training_set in GENERATED if generator == OWN_GENERATOR
]
#: The generators whose images are measured and shown, with their training sets: of controls it is known what they are.
MEASURED = [
    (name, training_set) for name, training_set in GENERATED if name not in CONTROLS
]
#: The training set whose synthetic images the figures show, by what names the generator in a path: its last one.
PICTURED_TRAINING_SETS = {
    other_generator(generator): training_set for generator, training_set in MEASURED
}
#: The conditions whose networks the figure of saliency shows.
SALIENCY_CONDITIONS = saliency_conditions(CONDITIONS)
#: The runs of a condition, in batches that one job trains: "0-4", "5-9", …
SEED_BATCHES = batch_seeds(config["cnn"]["seeds"], config["cnn"]["seeds_per_job"])
#: The sizes of images that the grid trains on; an architecture is searched for each.
RESOLUTIONS = sorted({item["resolution"] for item in CONDITIONS})
#: The candidates of a search, in batches that one job trains.
CANDIDATE_BATCHES = batch_seeds(
    config["search"]["candidates"], config["search"]["candidates_per_job"]
)
#: Images per class in the synthetic set of each size.
SYNTHETIC_PER_CLASS = synthetic_per_class(
    config["synthetic"]["sizes"], config["synthetic"]["count"]
)
N_SYNTHETIC = max(SYNTHETIC_PER_CLASS.values())
SIMULATED = is_simulated(config)
SEED = config["study"]["seed"]
#: A training job takes one unit of the resource `gpu` only where it would find a GPU.
GPUS = count_gpus(config["study"]["device"])

#: Revision of the code, for the record of provenance.
REVISION = COMMIT or code_revision(LIBRARY)


wildcard_constraints:
    cohort="|".join(config["cohorts"]),
    folder=r"sub-[A-Za-z0-9]+(/ses-[A-Za-z0-9]+)?",
    image_id=r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?",
    resolution="full|downsampled",
    diagnosis="|".join(CLASSES),
    training_set=r"train-(full|\d+)",
    architecture="baseline|optimized",
    # the folder of a generator's models, and the part that names another one than the RHVAE in other paths
    model_folder="|".join(map(model_folder, {OWN_GENERATOR: 0} | dict(GENERATED))),
    other_generator=f"(/generator-({'|'.join(GENERATORS) or '-'}))?",
    # the part of a path that names a further replicate of a generator
    replicate=r"(/replicate-[1-9]\d*)?",
    training_data="real|classic|synthetic|augmented",
    picture="traversal|interpolation|neighbours",
    model="cnn|rhvae",
    n_synthetic=r"\d+",
    seeds=r"\d+-\d+",
    candidates=r"\d+-\d+",


def settings(section, *names):
    """What results depend on in a section of the configuration, as one parameter; of some keys, where they are named.

    What alters no result is not in it, so that a change of it runs nothing again: a script that needs it takes it
    from `snakemake.config`.
    """
    chosen = lookup(section, within=RESULT_SETTINGS)
    return {name: chosen[name] for name in names} if names else chosen


def reading_settings(wildcards):
    """What decides how the dataset of a cohort is read: all but the role of the cohort."""
    chosen = RESULT_SETTINGS["cohorts"][wildcards.cohort]
    return {name: value for name, value in chosen.items() if name != "role"}


def folders_digest(wildcards):
    """Digest of a download, which runs its conversion again when it changes."""
    return cohort_digest(wildcards.cohort)


def dataset_digest(wildcards):
    """Digest of a dataset that was given in BIDS, which lists its images again when it changes."""
    is_given = config["cohorts"][wildcards.cohort]["source"] == "bids"
    return cohort_digest(wildcards.cohort) if is_given else None


def intake_threads(wildcards):
    """Threads that read a cohort: one where it takes seconds, so that another is prepared at the same time."""
    return 1 if config["cohorts"][wildcards.cohort]["source"] == "simulated" else 2


@cache
def _read_kept_images(table, contents, modified):
    """Path and content of the kept images of a table, by identifier; read again only when it has changed."""
    images = read_tsv(table)
    kept = images[images["status"] == "kept"].merge(read_tsv(contents), on="path")
    return {row.image_id: (row.path, row.content) for row in kept.itertuples()}


def kept_images(cohort):
    """Path and content of the images that are preprocessed, by identifier; known after the checkpoint."""
    # Snakemake forms groups of jobs, which only clusters have, anew after each checkpoint, and would start jobs twice
    # that run already. There all cohorts are listed before any image is preprocessed.
    for awaited in () if workflow.local_exec else COHORTS:
        checkpoints.list_images.get(cohort=awaited)
    listed = checkpoints.list_images.get(cohort=cohort).output
    modified = Path(listed.table).stat().st_mtime_ns
    return _read_kept_images(str(listed.table), str(listed.contents), modified)


def raw_image(wildcards):
    """The T1-weighted image in BIDS that an image identifier stands for."""
    # the table's paths are whole: a module's prefix must not be put before them once more
    path, _ = kept_images(wildcards.cohort)[wildcards.image_id]
    return local(path)


def image_content(wildcards):
    """Digest of the voxels and the place in space of the image that an image identifier stands for."""
    _, content = kept_images(wildcards.cohort)[wildcards.image_id]
    return content


def _derivatives(cohort, suffix):
    """One preprocessed file of each kept image of a cohort, in the order of the image table."""
    return [
        f"<results>/derivatives/cohort-{cohort}/{image_id.replace('_', '/', 1)}/anat/{image_id}_{suffix}"
        for image_id in kept_images(cohort)
    ]


def corrected_images(wildcards):
    """The bias-corrected image of each kept image of a cohort."""
    return _derivatives(wildcards.cohort, "desc-N4_T1w.nii.gz")


def registered_images(wildcards):
    """The registered, uncropped image of each kept image of a cohort."""
    return _derivatives(
        wildcards.cohort, f"space-MNI152NLin2009cSym_res-{RES}_T1w.nii.gz"
    )


def affines(wildcards):
    """The affine transform of each kept image of a cohort."""
    return _derivatives(
        wildcards.cohort, f"space-MNI152NLin2009cSym_res-{RES}_affine.mat"
    )


def cropped_images(wildcards):
    """The cropped image of each kept image of a cohort."""
    return _derivatives(
        wildcards.cohort, f"space-MNI152NLin2009cSym_res-{RES}_desc-Crop_T1w.nii.gz"
    )


def of_cohort_and_training(path):
    """A file of the training cohort, and of another that the wildcard names; ``path`` has braces for the cohort."""

    def files(wildcards):
        cohorts = dict.fromkeys([TRAINING_COHORT, wildcards.cohort])
        return [f"<results>/{path.format(cohort)}" for cohort in cohorts]

    return files


def searched_architecture(wildcards):
    """The outcome of the search, for networks that take their architecture from it."""
    if (
        wildcards.architecture != "optimized"
        or config["cnn"]["optimized"] == "published"
    ):
        return []
    return "<results>/search/resolution-{resolution}/leaderboard.json"


def raw_dataset(wildcards):
    """The BIDS folder of a cohort's raw images."""
    cohort = config["cohorts"][wildcards.cohort]
    if cohort["source"] == "bids":
        return cohort["bids"]
    return f"{RESULTS}/bids/cohort-{wildcards.cohort}"


def begin_run():
    """Let no other run work on the same results until this one ends, and reset times that lie in the future."""
    try:
        claim(f"{RESULTS}/logs/.run.lock")
    except StudyError as error:
        raise WorkflowError(f"{error}") from None
    ahead = reset_future_times(RESULTS)
    if ahead:
        print(
            f"{ahead} files of the results had a time in the future, and have the present one now.",
            file=sys.stderr,
        )


def fail_if_jobs_remain():
    """Fail where Snakemake ends without an error although jobs are left."""
    rest = [
        job for job in workflow.dag.needrun_jobs() if not workflow.dag.finished(job)
    ]
    if rest:
        names = ", ".join(sorted({job.rule.name for job in rest}))
        error = StudyError(
            f"The run ended before {len(rest)} of its jobs began.",
            where=names,
            cause="Snakemake lost sight of them. What is done is complete.",
            remedy="Start the same command again.",
        )
        raise WorkflowError(f"{error}")
