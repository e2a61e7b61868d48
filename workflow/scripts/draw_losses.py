from rhvae_mri.figures.losses import draw_losses
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    draw_losses(
        {
            tuple(model): read_tsv(file)
            for model, file in zip(snakemake.params.models, snakemake.input.histories, strict=True)
        },
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
