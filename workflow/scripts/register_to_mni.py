from rhvae_mri.imaging.images import record_faults
from rhvae_mri.imaging.registration import register_to_template
from rhvae_mri.logs import log_job
from rhvae_mri.seeds import derive_seed

with log_job(snakemake.log[0]), record_faults(snakemake.output.image, snakemake.output.affine):
    register_to_template(
        snakemake.input.image,
        snakemake.input.template,
        snakemake.output.image,
        snakemake.output.affine,
        threads=snakemake.threads,
        seed=derive_seed(snakemake.params.seed, "register_to_mni", snakemake.wildcards.image_id),
    )
