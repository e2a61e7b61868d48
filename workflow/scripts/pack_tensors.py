from rhvae_mri.io.files import read_tsv
from rhvae_mri.preprocess.images import derivative_table
from rhvae_mri.preprocess.tensors import pack_tensors
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    quality = read_tsv(snakemake.input.quality)
    passed = quality["image_id"][quality["status"] == "passed"]
    table = derivative_table(snakemake.input.images)
    pack_tensors(
        table[table["image_id"].isin(passed)],
        snakemake.output.stack,
        snakemake.output.index,
        resolution=snakemake.wildcards.resolution,
        **snakemake.params.tensors,
    )
