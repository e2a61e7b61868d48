from rhvae_mri.logs import log_job
from rhvae_mri.quality.regions import outline_regions

with log_job(snakemake.log[0]):
    outline_regions(snakemake.input.template, snakemake.output.image)
