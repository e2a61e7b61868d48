from rhvae_mri.evaluation.histories import read_histories
from rhvae_mri.files import write_tsv
from rhvae_mri.logs import log_job

with log_job(snakemake.log[0]):
    write_tsv(snakemake.output.table, read_histories(snakemake.input.histories))
