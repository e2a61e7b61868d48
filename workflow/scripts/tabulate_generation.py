import pandas

from rhvae_mri.generators.assessment.flags import list_flags
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.pages.generation import write_generation
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.grid import CONTROLS

with log_job(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    table = pandas.concat([read_tsv(path) for path in snakemake.input.tables], ignore_index=True)
    write_tsv(output.table, table)
    # what to expect of controls and of the oracle is known
    judged = table[~table["generator"].isin((*CONTROLS, "oracle"))]
    write_tsv(output.flags, list_flags(judged))
    write_generation(table, output.html, simulated=params.simulated, title=params.title)
