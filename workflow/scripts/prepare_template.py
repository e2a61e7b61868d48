from rhvae_mri.imaging.template import prepare_template
from rhvae_mri.logs import log_job

SOURCES = {
    "simulated": "simulated",
    "descriptor": snakemake.input.descriptor,
    "file": str(snakemake.input.file),
}

with log_job(snakemake.log[0]):
    template = snakemake.params.template
    prepare_template(SOURCES[template["source"]], template["voxel_size"], snakemake.output.image)
