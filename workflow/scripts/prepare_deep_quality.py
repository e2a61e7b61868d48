from rhvae_mri.quality.deep_networks import prepare_deep_quality_weights
from rhvae_mri.runtime.logs import log_job

SOURCES = {"descriptor": snakemake.input.descriptor, "file": str(snakemake.input.file)}

with log_job(snakemake.log[0]):
    deep = snakemake.params.deep
    prepare_deep_quality_weights(SOURCES[deep["source"]], deep["network"], snakemake.output.weights)
