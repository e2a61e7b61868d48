from rhvae_mri.figures.networks import draw_networks
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    draw_networks(
        read_tsv(snakemake.input.layers),
        snakemake.wildcards.model.upper(),
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
