from rhvae_mri.preprocess.bias_field import correct_bias
from rhvae_mri.preprocess.images import record_faults
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]), record_faults(snakemake.output.image):
    correct_bias(
        snakemake.input.image,
        snakemake.output.image,
        spline_distance_mm=snakemake.params.n4["spline_distance"],
        padding=snakemake.params.n4["padding"],
        threads=snakemake.threads,
    )
