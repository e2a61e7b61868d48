from rhvae_mri.pages.index import write_index
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    params = snakemake.params
    write_index(snakemake.output.page, list(snakemake.input), title=params.title, simulated=params.simulated)
