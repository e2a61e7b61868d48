from rhvae_mri.provenance.files import record_files
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    record_files(
        snakemake.input.images,
        {
            "desc-N4": snakemake.input.corrected,
            "affine": snakemake.input.affines,
            "registered": snakemake.input.registered,
            "cropped": snakemake.input.cropped,
        },
        snakemake.input.template,
        snakemake.output.table,
        conversion=snakemake.input.conversion or None,
        threads=snakemake.threads,
    )
