from pathlib import Path

from rhvae_mri.cohort.conversion import convert_to_bids
from rhvae_mri.logs import log_job

with log_job(snakemake.log[0]):
    convert_to_bids(
        snakemake.wildcards.cohort,
        Path(snakemake.input.images),
        Path(snakemake.input.tables),
        Path(snakemake.output.bids),
        Path(snakemake.output.report),
        processes=snakemake.threads,
    )
