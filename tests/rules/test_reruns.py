"""What a changed key of the configuration runs again: jobs whose parameters or list of inputs it changes.

What follows from their outputs runs again, too, and is not listed; nor are the two rules that take the whole
configuration.
"""

import copy
from itertools import product

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.iocontainers import Wildcards
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

from rhvae_mri.pages.documents import list_keys
from rhvae_mri.study.checks import complete
from rhvae_mri.study.configuration import build_schema

OF_ALL = {"record_provenance", "estimate"}

#: What runs again where the conditions are others.
CONDITIONS = "compute_statistics describe_networks draw_scheme record_chain"
SETS = f"{CONDITIONS} draw_losses tabulate_generation write_index"

#: For every key another value, and the rules that run again.
RERUNS = {
    "study.name": (
        "Another",
        "tabulate_demographics tabulate_generation tabulate_results write_index write_methods",
    ),
    "study.seed": (
        1,
        "compute_statistics draw_intruders draw_slices generate_synthetic measure_generation "
        "preprocess_image rank_candidates select_test_cohorts simulate_adni simulate_aibl "
        "split_cohort split_folds tabulate_demographics tabulate_results train_candidates train_cnn "
        "train_generator",
    ),
    "study.device": ("cpu", ""),
    "cohorts.AIBL.role": ("train", ""),  # of a cohort that is left out; else two would be trained on
    "cohorts.ADNI.source": (
        "download",
        "convert_to_bids describe_derivatives list_images record_files write_index write_methods",
    ),
    "cohorts.AIBL.source": (
        "bids",
        "convert_to_bids describe_derivatives draw_split evaluate list_images record_files "
        "select_test_cohorts tabulate_demographics write_index",
    ),
    "cohorts.ADNI.images": ("second", "convert_to_bids"),
    "cohorts.ADNI.tables": ("second", "convert_to_bids"),
    "cohorts.ADNI.bids": ("second", "describe_derivatives list_images"),
    "cohorts.ADNI.require_diagnosis": (False, "list_images"),
    "cohorts.ADNI.columns": ({"age": "x"}, "list_images"),
    "cohorts.ADNI.values": ({"sex": {"M": [1]}}, "list_images"),
    "cohorts.ADNI.prefer": (["acq-a"], "list_images"),
    "cohorts.ADNI.allow_missing": (True, ""),
    "exclude": ("exclude.tsv", "check_quality draw_audit list_images"),
    "simulation.tables": (2018, "simulate_adni"),
    "simulation.special_cases": (False, "simulate_adni simulate_aibl"),
    "simulation.participants.ADNI.AD": (81, "simulate_adni"),
    "simulation.participants.ADNI.CN": (81, "simulate_adni"),
    "template.source": ("file", "prepare_template"),
    "template.file": ("second.nii", "prepare_template"),
    "template.voxel_size": (2, "draw_audit prepare_template preprocess_image simulate_adni simulate_aibl"),
    "bias_correction.spline_distance": (200, "preprocess_image"),
    "bias_correction.padding": ("coarse", "preprocess_image"),
    "registration.shrink_factors": ([4, 2, 2], "preprocess_image"),
    "registration.smoothing": ([8, 4, 3], "preprocess_image"),
    "registration.smoothing_unit": ("vox", "preprocess_image"),
    "registration.iterations": ([1000, 500, 10], "preprocess_image"),
    "quality.limits": (False, "check_quality draw_audit"),
    "quality.outlier_z": (3.0, "check_quality draw_audit"),
    "quality.threads": (1, ""),
    "quality.deep.source": ("descriptor", "check_deep_quality prepare_deep_quality"),
    "quality.deep.network": ("squeezenet1_1", "check_deep_quality prepare_deep_quality"),
    "quality.deep.file": ("second.nii", "prepare_deep_quality"),
    "quality.deep.threshold": (0.25, "check_deep_quality draw_audit"),
    "tensors.dtype": ("float16", "pack_tensors"),
    "tensors.align_corners": (True, "measure_saliency pack_tensors"),
    "split.n_test_per_class": (25, "split_cohort"),
    "split.validation_fraction": (0.1, "split_cohort"),
    "split.train_subsets": ([20, 21], "split_cohort"),
    "split.redraw_subsets": (True, "compute_statistics split_cohort"),
    "split.n_oracle_per_class": (1, "split_cohort"),
    "split.aibl_per_class": (3, "select_test_cohorts"),
    "split.p_threshold": (0.4, "split_cohort"),
    "split.site_threshold": (0.025, "split_cohort"),
    "split.require_balance": (False, "split_cohort"),
    "rhvae.latent_dimension": (11, "describe_networks train_generator"),
    "rhvae.networks": ("convolutional", "describe_networks train_generator"),
    "rhvae.encoder_layers": ([201], "describe_networks train_generator"),
    "rhvae.decoder_layers": ([201], "describe_networks train_generator"),
    "rhvae.metric_layers": ([21], "describe_networks train_generator"),
    "rhvae.channels": ([8, 16], "describe_networks train_generator"),
    "rhvae.leapfrog_steps": (4, "train_generator"),
    "rhvae.leapfrog_step_size": (0.0005, "train_generator"),
    "rhvae.sqrt_beta_zero": (0.15, "train_generator"),
    "rhvae.temperature": (0.75, "train_generator"),
    "rhvae.regularization": (0.005, "train_generator"),
    "rhvae.encoder_last_activation": ("none", "describe_networks train_generator"),
    "rhvae.fixed_point_tolerance": (1e-6, "train_generator"),
    "rhvae.hold_out_fraction": (0.1, "train_generator"),
    "rhvae.start_at_mean_image": (True, "train_generator"),
    "rhvae.integrator": ("generalized", "train_generator"),
    "rhvae.reconstruction": ("mse", "train_generator"),
    "rhvae.learning_rate": (0.0005, "train_generator"),
    "rhvae.batch_size": (9, "train_generator"),
    "rhvae.max_epochs": (161, "train_generator"),
    "rhvae.patience": (51, "train_generator"),
    "rhvae.replicates": (2, "compute_statistics measure_generation tabulate_generation train_cnn"),
    "rhvae.threads": (2, ""),
    "generators": ({"vae": {"latent_dimension": 5}}, ""),  # of one that the grid does not have
    "synthetic.sizes": ([90, 120], f"{CONDITIONS} generate_synthetic"),
    "synthetic.count": ("per_class", "draw_scheme generate_synthetic train_cnn"),
    "synthetic.steps": (101, "generate_synthetic"),
    "synthetic.leapfrog_steps": (16, "generate_synthetic"),
    "synthetic.leapfrog_step_size": (0.015, "generate_synthetic"),
    "synthetic.dtype": ("float16", "generate_synthetic"),
    "cnn.optimized": ("searched", "describe_networks tabulate_results train_cnn"),
    "cnn.epochs.baseline": (21, "train_cnn"),
    "cnn.epochs.optimized": (21, "train_cnn"),
    "cnn.learning_rate": (0.00025, "train_cnn"),
    "cnn.weight_decay": (0.1, "train_cnn"),
    "cnn.batch_size": (5, "measure_saliency train_candidates train_cnn"),
    "cnn.precision": ("bfloat16", "evaluate train_candidates train_cnn"),
    "cnn.resident_gb": (2.0, ""),
    "cnn.seeds": (7, "compute_statistics draw_scheme evaluate measure_saliency"),
    "cnn.seeds_per_job": (2, "compute_statistics evaluate measure_saliency"),
    "cnn.threads": (2, ""),
    "grid.architectures": (["optimized"], f"{CONDITIONS} draw_saliency write_index"),
    "grid.training_sets": (["train-20", "train-full"], SETS),
    "grid.training_data": (["real", "augmented"], CONDITIONS),
    "grid.generators": (
        ["rhvae", "ppca"],
        f"{CONDITIONS} draw_generation draw_intruders draw_slices tabulate_generation write_index",
    ),
    "grid.full_resolution": (True, CONDITIONS),
    "grid.exclude": ([{"training_data": "synthetic"}], CONDITIONS),
    "search.candidates": (4, "rank_candidates"),
    "search.folds": (3, "split_folds"),
    "search.epochs": (3, "train_candidates"),
    "search.candidates_per_job": (2, "rank_candidates"),
    "search.space.n_blocks": ([2, 5], "rank_candidates train_candidates"),
    "search.space.first_channels": ([4, 8], "rank_candidates train_candidates"),
    "search.space.convolutions_per_block": ([1, 2], "rank_candidates train_candidates"),
    "search.space.channel_limit": (257, "rank_candidates train_candidates"),
    "search.space.n_fully_connected": ([1, 2], "rank_candidates train_candidates"),
    "search.space.dropout": ([0.0, 0.5], "rank_candidates train_candidates"),
    "search.space.learning_rate": ([0.0001, 0.01], "rank_candidates train_candidates"),
    "search.space.weight_decay": ([0.001, 0.01], "rank_candidates train_candidates"),
    "search.space.weight_decay_probability": (0.25, "rank_candidates train_candidates"),
    "search.space.max_parameters": (None, "rank_candidates train_candidates"),
    "saliency.steps": (65, "measure_saliency"),
    **{
        f"statistics.primary.{name}": (value, "")  # what it is without being named
        for name, value in (
            *(("architecture", "baseline"), ("training_set", "train-full"), ("n_synthetic", 90)),
            *(("generator", "rhvae"), ("against", "real_steps")),
        )
    },
    "statistics.primary.metric": ("auc", "compute_statistics"),
    "statistics.resamples": (2001, "compute_statistics"),
    "statistics.confidence": (0.9, "compute_statistics tabulate_results"),
    "statistics.equivalence_margin": (2.5, "tabulate_results"),
    "statistics.minimum_runs": (11, "tabulate_results"),
    "estimate.reference": ("other", ""),
    "estimate.gpu_speedup": ([10, 100], ""),
}

#: A study of real images that are in BIDS, or were downloaded.
BIDS = {
    "cohorts": {
        "ADNI": {"source": "bids", "bids": "first", "images": "first", "tables": "first"},
        "AIBL": {"source": "none", "bids": "first"},
    },
    "template": {"source": "descriptor", "file": "first.nii"},
    "quality": {"deep": {"source": "descriptor", "file": "first.nii"}},
}
DOWNLOAD = {
    **BIDS,
    "cohorts": {"ADNI": BIDS["cohorts"]["ADNI"] | {"source": "download"}, "AIBL": {"source": "none"}},
}

#: The studies in which the keys are changed that count in no simulated one.
STUDIES = {
    "cohorts.ADNI.source": BIDS,
    "cohorts.AIBL.source": BIDS,
    "cohorts.AIBL.role": BIDS,
    "cohorts.ADNI.bids": BIDS,
    "cohorts.ADNI.images": DOWNLOAD,
    "cohorts.ADNI.tables": DOWNLOAD,
    "split.redraw_subsets": {"rhvae": {"replicates": 2}},
    "template.source": BIDS,
    "template.file": {**BIDS, "template": {"source": "file", "file": "first.nii"}},
    "quality.deep.file": {"quality": {"deep": {"source": "file", "file": "first.nii"}}},
}


def test_every_key_is_listed():
    keys = {key for name, node in build_schema()["properties"].items() for key, _ in list_keys(name, node)}
    # another folder of results is another study
    assert {key.replace("ADNI", "<name>").replace("AIBL", "<name>") for key in RERUNS} == keys - {"pathvars"}


@pytest.mark.parametrize("key", RERUNS)
def test_a_changed_key_runs_again_what_it_concerns_and_nothing_else(key, jobs_of):
    value, rules = RERUNS[key]
    config = complete(STUDIES.get(key, {}))
    changed = copy.deepcopy(config)
    *sections, last = key.split(".")
    section = changed
    for name in sections:
        section = section[name]
    assert section[last] != value
    section[last] = value
    before, after = jobs_of(config), jobs_of(changed)
    assert {rule for rule in before if before[rule] != after[rule]} - OF_ALL == set(rules.split())


@pytest.fixture(scope="module")
def jobs_of(root, tmp_path_factory):
    """Read the workflow with a configuration, and give parameters and inputs of jobs of each rule."""
    folder = tmp_path_factory.mktemp("study")
    for name in ("first", "second", "results/bids/cohort-ADNI", "results/bids/cohort-AIBL"):
        (folder / name).mkdir(parents=True)
    for name in ("first.nii", "second.nii"):
        (folder / name).touch()
    (folder / "exclude.tsv").write_text((root / "config" / "exclude.tsv").read_text())
    known = {}

    def read(config):
        text = yaml.safe_dump(config)
        if text not in known:
            (folder / "study.yaml").write_text(text)
            with SnakemakeApi(OutputSettings()) as api:
                workflow = api.workflow(
                    resource_settings=ResourceSettings(cores=1),
                    config_settings=ConfigSettings(configfiles=[folder / "study.yaml"]),
                    snakefile=root / "workflow" / "Snakefile",
                    workdir=folder,
                )._workflow
                wildcards = list(kinds_of_jobs(config))
                known[text] = {
                    rule.name: [
                        value_of(part, one) for one in wildcards for part in (*rule.params, *rule.input)
                    ]
                    for rule in workflow.rules
                    if rule.output
                }
        return known[text]

    return read


def kinds_of_jobs(config):
    """Wildcards of jobs that a rule may treat differently."""
    n_synthetic = {"augmented": str(config["synthetic"]["sizes"][0])}
    for cohort, architecture, data in product(
        ("ADNI", "AIBL"), ("baseline", "optimized"), ("real", "classic", "augmented")
    ):
        named = {"cohort": cohort, "architecture": architecture, "training_data": data}
        named |= {"n_synthetic": n_synthetic.get(data, "0"), "training_set": "train-full"}
        named |= {"model_folder": "rhvae", "other_generator": "", "seeds": "0-5"}
        named |= {"replicate": "/replicate-1" if config["rhvae"]["replicates"] > 1 else ""}
        yield Wildcards(fromdict=named | {"resolution": "downsampled"})


def value_of(part, wildcards):
    """A parameter or input of one job; what follows from the images of a cohort is not known here."""
    try:
        return repr(part(wildcards) if callable(part) else part).partition(" at 0x")[0]
    except Exception as error:
        return type(error).__name__
