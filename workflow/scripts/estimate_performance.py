from rhvae_mri.evaluation.estimates import count_confusions, estimate_performance, save_replicates
from rhvae_mri.evaluation.predictions import load_predictions
from rhvae_mri.files import write_tsv
from rhvae_mri.logs import log_job

with log_job(snakemake.log[0]):
    params = snakemake.params
    sets = load_predictions(snakemake.input.predictions)
    estimates = estimate_performance(
        sets, params.resamples, params.confidence, params.seed, threads=snakemake.threads
    )
    write_tsv(snakemake.output.estimates, estimates.table)
    write_tsv(snakemake.output.curves, estimates.curves)
    write_tsv(snakemake.output.confusions, count_confusions(sets))
    save_replicates(snakemake.output.replicates, estimates.replicates)
