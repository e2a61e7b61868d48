from rhvae_mri.provenance.study import record_provenance
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    record_provenance(
        snakemake.params.configuration,
        snakemake.params.revision,
        snakemake.output.configuration,
        snakemake.output.software,
        snakemake.output.machine,
    )
