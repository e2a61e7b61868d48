from rhvae_mri.evaluation.predictions import collect_predictions, save_predictions
from rhvae_mri.logs import log_job

with log_job(snakemake.log[0]):
    save_predictions(snakemake.output.predictions, collect_predictions(snakemake.input.predictions))
