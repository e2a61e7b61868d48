import pandas

from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.pages.generation import render_generation
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    table = pandas.concat([read_tsv(path) for path in snakemake.input.tables], ignore_index=True)
    write_tsv(snakemake.output.table, table)
    render_generation(
        table,
        snakemake.output.html,
        simulated=snakemake.params.simulated,
        title=f"{snakemake.params.title}: quality of the generated images",
    )
