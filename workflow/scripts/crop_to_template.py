from rhvae_mri.preprocess.crop import crop_to_template
from rhvae_mri.preprocess.images import record_faults
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]), record_faults(snakemake.output.image):
    crop_to_template(snakemake.input.image, snakemake.output.image, snakemake.params.voxel_size)
