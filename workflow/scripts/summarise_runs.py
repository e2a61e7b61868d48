from rhvae_mri.evaluation.runs import summarise_runs
from rhvae_mri.files import write_tsv
from rhvae_mri.logs import log_job

with log_job(snakemake.log[0]):
    runs = summarise_runs(snakemake.input.predictions, range(snakemake.params.seeds))
    write_tsv(snakemake.output.runs, runs)
