from rhvae_mri.logs import log_job
from rhvae_mri.provenance.derivatives import describe_derivatives

with log_job(snakemake.log[0]):
    inputs = snakemake.input
    describe_derivatives(
        snakemake.wildcards.cohort,
        snakemake.params.raw,
        inputs.template,
        [*inputs.corrected, *inputs.registered, *inputs.affines, *inputs.cropped],
        snakemake.output.description,
        snakemake.output.readme,
        snakemake.output.ignore,
        simulated=snakemake.params.simulated,
    )
