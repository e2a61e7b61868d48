from rhvae_mri.figures.training import draw_training
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    draw_training(
        read_tsv(snakemake.input.histories),
        snakemake.wildcards.architecture,
        snakemake.wildcards.training_set,
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
