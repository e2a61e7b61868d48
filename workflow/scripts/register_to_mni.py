from rhvae_mri.preprocess.images import record_faults
from rhvae_mri.preprocess.registration import Levels, register_to_template
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed
from rhvae_mri.study.settings import fill

with log_job(snakemake.log[0]), record_faults(snakemake.output.image, snakemake.output.affine):
    params = snakemake.params
    register_to_template(
        snakemake.input.image,
        snakemake.input.template,
        snakemake.output.image,
        snakemake.output.affine,
        threads=snakemake.threads,
        seed=derive_seed(params.seed, "register_to_mni", snakemake.wildcards.image_id),
        levels=fill(Levels, params.levels),
    )
