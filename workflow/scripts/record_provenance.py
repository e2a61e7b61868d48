from rhvae_mri.logs import log_job
from rhvae_mri.provenance.study import record_provenance

with log_job(snakemake.log[0]):
    record_provenance(
        snakemake.params.configuration,
        snakemake.params.revision,
        snakemake.output.configuration,
        snakemake.output.software,
        snakemake.output.machine,
    )
