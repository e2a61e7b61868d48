from rhvae_mri.io.files import write_tsv
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.statistics.histories import read_histories

with log_job(snakemake.log[0]):
    write_tsv(snakemake.output.table, read_histories(snakemake.input.histories))
