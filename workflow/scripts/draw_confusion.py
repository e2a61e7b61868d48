from rhvae_mri.figures.confusion import draw_confusion
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    draw_confusion(
        read_tsv(snakemake.input.counts),
        snakemake.wildcards.architecture,
        snakemake.wildcards.cohort,
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
