from rhvae_mri.figures.search import draw_search
from rhvae_mri.io.files import read_json, read_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    draw_search(
        read_tsv(snakemake.input.leaderboard),
        read_json(snakemake.input.summary),
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
    )
