from rhvae_mri.figures.curves import draw_roc
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    draw_roc(
        read_tsv(snakemake.input.curves),
        read_tsv(snakemake.input.estimates),
        snakemake.wildcards.architecture,
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
