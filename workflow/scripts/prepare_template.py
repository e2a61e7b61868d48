from rhvae_mri.preprocess.template import prepare_template
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.simulate.anatomy import simulate_template

with log_job(snakemake.log[0]):
    source, voxel_size = (snakemake.params.template[key] for key in ("source", "voxel_size"))
    if source == "simulated":
        simulate_template(voxel_size, snakemake.output.image)
    else:
        file = snakemake.input[source]
        prepare_template(file, voxel_size, snakemake.output.image)
