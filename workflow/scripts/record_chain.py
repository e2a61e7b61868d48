from pathlib import Path

from rhvae_mri.provenance.chain import record_chain
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    table = Path(snakemake.output.table)
    record_chain(table.parents[1], table, threads=snakemake.threads)
