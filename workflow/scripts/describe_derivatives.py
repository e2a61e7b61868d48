from rhvae_mri.provenance.derivatives import describe_derivatives
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    describe_derivatives(
        snakemake.wildcards.cohort,
        snakemake.params.raw,
        snakemake.input.template,
        snakemake.output.description,
        snakemake.output.readme,
        snakemake.output.ignore,
        simulated=snakemake.params.simulated,
    )
