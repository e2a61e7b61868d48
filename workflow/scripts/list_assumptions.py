from rhvae_mri.io.files import read_json, read_yaml, write_tsv
from rhvae_mri.pages.assumptions import list_assumptions, list_departures, write_assumptions
from rhvae_mri.provenance.tables import read_download_facts
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    output, params = snakemake.output, snakemake.params
    schema, config = read_json(snakemake.input.schema), read_yaml(snakemake.input.configuration)
    facts = read_download_facts(params.converted, snakemake.input.tables)
    table = list_assumptions(schema, config, facts)
    write_tsv(output.table, table)
    departures = list_departures(schema, config)
    write_assumptions(table, departures, output.html, title=params.title, simulated=params.simulated)
