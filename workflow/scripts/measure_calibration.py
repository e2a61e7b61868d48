from rhvae_mri.evaluation.calibration import measure_calibration
from rhvae_mri.evaluation.predictions import load_predictions
from rhvae_mri.files import write_tsv
from rhvae_mri.logs import log_job

with log_job(snakemake.log[0]):
    params = snakemake.params
    calibration = measure_calibration(
        load_predictions(snakemake.input.predictions),
        n_bins=params.bins,
        n_resamples=params.resamples,
        confidence=params.confidence,
        seed=params.seed,
    )
    write_tsv(snakemake.output.measures, calibration.measures)
    write_tsv(snakemake.output.curves, calibration.curves)
