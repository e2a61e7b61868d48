from rhvae_mri.figures.saliency import draw_saliency, read_saliency
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    stored = zip(snakemake.input.maps, snakemake.input.tables, strict=True)
    draw_saliency(
        [read_saliency(*files) for files in stored],
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
