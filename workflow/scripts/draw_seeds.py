from rhvae_mri.figures.strips import draw_strips
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.statistics.published import read_published
from rhvae_mri.statistics.tables import classification_table

with log_job(snakemake.log[0]):
    runs = read_tsv(snakemake.input.runs)
    draw_strips(
        runs,
        classification_table(runs, read_published(snakemake.input.published)),
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
