from rhvae_mri.figures.sizes import draw_sizes
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.statistics.published import read_published

with log_job(snakemake.log[0]):
    draw_sizes(
        read_tsv(snakemake.input.runs),
        read_tsv(snakemake.input.estimates),
        read_published(snakemake.input.published),
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
