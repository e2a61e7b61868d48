"""Runs that end before all is done."""

import os
import subprocess
import sys

import pandas

from rhvae_mri.convert.oasis import CLINICAL_TABLE

#: Snakemake, with a scheduler that starts nothing and reports success.
COMMAND = """\
from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler
JobScheduler.schedule = lambda self: True
main()
"""


def test_a_run_that_leaves_jobs_behind_does_not_end_well(tmp_path, snakemake_command, load_config):
    arguments = snakemake_command(tmp_path, load_config(), "tables")
    start = arguments.index("snakemake") + 1
    result = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments[start:]],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": ""},
        check=False,
    )
    assert result.returncode != 0
    assert "of its jobs began" in result.stderr
    assert "simulate_adni" in result.stderr


def test_a_conversion_that_runs_again_and_fails_leaves_the_former_dataset(
    tmp_path, run_snakemake, load_config
):
    config = load_config()
    (tmp_path / "images" / "OAS1_0001_MR1").mkdir(parents=True)
    (tmp_path / "tables").mkdir()
    columns = ["ID", "M/F", "Hand", "Age", "Educ", "MMSE", "CDR"]
    pandas.DataFrame(columns=columns).to_excel(tmp_path / "tables" / CLINICAL_TABLE)
    config["cohorts"]["OASIS"] = {"source": "oasis1", "images": "images", "tables": "tables"}
    former = tmp_path / "results" / "bids" / "cohort-OASIS" / "participants.tsv"
    former.parent.mkdir(parents=True)
    former.write_text("made before")
    for _ in range(2):  # and the job is tried again
        result = run_snakemake(tmp_path, config, "results/conversion/cohort-OASIS/conversion.tsv")
        assert result.returncode != 0
        assert "None of the 1 images of the OASIS-1 download can be converted" in result.stdout
        assert former.read_text() == "made before"
