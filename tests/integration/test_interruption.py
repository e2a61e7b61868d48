"""Ctrl-C at every stage of a small study, and the same command again."""

import os
import signal
import subprocess
import time

import pandas
import pytest

from rhvae_mri.files import read_tsv

pytestmark = pytest.mark.demo

#: Rules in whose middle the study is interrupted, in the order in which they run.
STAGES = [
    "simulate_adni",
    "convert_to_bids",
    "correct_bias",
    "register_to_mni",
    "train_rhvae",
    "train_cnn",
    "evaluate",
]


@pytest.fixture(scope="module")
def small_config(load_config):
    """The simulated study on voxels of 8 mm, with few participants, seeds and epochs."""
    config = load_config()
    none = dict.fromkeys(config["simulation"]["participants"]["ADNI"], 0)
    config["simulation"] = {
        "voxel_size": 8.0,
        "participants": {"ADNI": none | {"AD": 9, "CN": 9}, "AIBL": none | {"AD": 2, "CN": 2}},
    }
    config["template"]["voxel_size"] = 8
    # At 8 mm the measures have other values; what they find is tested at the demo's size.
    config["quality"] |= {"minimum_similarity": -1, "minimum_overlap": 0}
    config["split"] |= {"n_test_per_class": 2, "train_subsets": [3], "require_balance": False}
    config["rhvae"]["max_epochs"] = 40
    # The demo stores the decoded images; here the networks decode latent codes.
    config["synthetic"] |= {"sizes": [4], "store": "latent_codes"}
    config["cnn"] |= {"epochs": {"baseline": 8, "optimized": 8}, "seeds": 2, "seeds_per_job": 2}
    config["grid"] |= {"training_sets": ["train-3"], "training_data": ["real", "augmented"]}
    return config


def interrupt_in(stage, command):
    """Start the study, press Ctrl-C when a rule has begun, and return the exit status."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # where the tests run in the background, the shell has them and their children ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stdout:
        if line.strip() in (f"rule {stage}:", f"localrule {stage}:"):
            time.sleep(1.5)
            # The terminal sends Ctrl-C to every process of the foreground group.
            os.killpg(process.pid, signal.SIGINT)
            break
    process.stdout.read()
    return process.wait(timeout=120)


def test_a_study_interrupted_at_every_stage_ends_like_an_undisturbed_one(
    tmp_path, small_config, snakemake_command, run_snakemake
):
    undisturbed = run_snakemake(tmp_path / "undisturbed", small_config, "tables")
    assert undisturbed.returncode == 0, undisturbed.stdout
    folder = tmp_path / "interrupted"
    interrupted = [interrupt_in(stage, snakemake_command(folder, small_config, "tables")) for stage in STAGES]
    assert all(status != 0 for status in interrupted), dict(zip(STAGES, interrupted, strict=True))
    result = run_snakemake(folder, small_config, "tables")
    assert result.returncode == 0, result.stdout
    for name in ("runs.tsv", "classification.tsv"):
        ours, reference = (
            read_tsv(tmp_path / study / "results" / "tables" / name)
            for study in ("interrupted", "undisturbed")
        )
        pandas.testing.assert_frame_equal(ours, reference)
