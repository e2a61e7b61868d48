from rhvae_mri.cohort.images import read_images
from rhvae_mri.figures.split import draw_split
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    tables = zip(
        map(read_images, snakemake.input.images),
        map(read_tsv, snakemake.input.quality),
        map(read_tsv, snakemake.input.metrics),
        strict=True,
    )
    draw_split(
        dict(zip(snakemake.params.cohorts, tables, strict=True)),
        read_tsv(snakemake.input.split),
        read_tsv(snakemake.input.independent),
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
