"""A run that Snakemake ends without an error before all is done."""

import os
import subprocess
import sys

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
