from pathlib import Path

from rhvae_mri.cohort.images import read_images
from rhvae_mri.io.files import write_tsv
from rhvae_mri.preprocess.images import derivative_table
from rhvae_mri.quality.metrics import measure_quality
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    images = read_images(Path(snakemake.input.table)).rename(columns={"path": "raw"})
    for name, paths in (
        ("corrected", snakemake.input.corrected),
        ("registered", snakemake.input.registered),
        ("affine", snakemake.input.affines),
    ):
        images = images.merge(derivative_table(paths).rename(columns={"path": name}), on="image_id")
    metrics = measure_quality(images, snakemake.input.template, processes=snakemake.threads)
    write_tsv(snakemake.output.table, metrics)
