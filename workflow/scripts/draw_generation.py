from rhvae_mri.figures.generation import draw_interpolation, draw_neighbours, draw_traversal, read_pictures
from rhvae_mri.runtime.logs import log_job

DRAW = {"traversal": draw_traversal, "interpolation": draw_interpolation, "neighbours": draw_neighbours}

with log_job(snakemake.log[0]):
    stored = zip(snakemake.input.pictures, snakemake.input.pictures_tables, strict=True)
    pictures = {
        diagnosis: read_pictures(*files) for diagnosis, files in zip(("AD", "CN"), stored, strict=True)
    }
    DRAW[snakemake.wildcards.picture](
        pictures,
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
