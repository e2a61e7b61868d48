from rhvae_mri.quality.regions import outline_regions
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    outline_regions(snakemake.input.template, snakemake.output.image)
