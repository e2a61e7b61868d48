from rhvae_mri.preprocess.bias_field import correct_bias
from rhvae_mri.preprocess.crop import crop_to_template
from rhvae_mri.preprocess.images import record_faults
from rhvae_mri.preprocess.registration import Levels, register_to_template
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed
from rhvae_mri.study.settings import fill

given, made, params = snakemake.input, snakemake.output, snakemake.params
# an image that cannot go through a step leaves its reason in that step's file, which the next one passes on
with log_job(snakemake.log[0]):
    with record_faults(made.corrected):
        correct_bias(
            given.image,
            made.corrected,
            spline_distance_mm=params.n4["spline_distance"],
            padding=params.n4["padding"],
            threads=snakemake.threads,
        )
    with record_faults(made.registered, made.affine):
        register_to_template(
            made.corrected,
            given.template,
            made.registered,
            made.affine,
            threads=snakemake.threads,
            seed=derive_seed(params.seed, "register_to_mni", snakemake.wildcards.image_id),
            levels=fill(Levels, params.levels),
        )
    with record_faults(made.cropped):
        crop_to_template(made.registered, made.cropped, params.voxel_size)
