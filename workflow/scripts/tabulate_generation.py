import pandas

from rhvae_mri.generators.assessment.flags import list_flags
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.pages.generation import write_generation
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    table = pandas.concat([read_tsv(path) for path in snakemake.input.tables], ignore_index=True)
    write_tsv(output.table, table)
    # the images of the oracle are real
    write_tsv(output.flags, list_flags(table[table["generator"] != "oracle"]))
    write_generation(table, output.html, simulated=params.simulated, title=params.title)
