from rhvae_mri.io.files import read_json, read_tsv, read_yaml, write_tsv
from rhvae_mri.pages.assumptions import list_assumptions, list_departures, write_assumptions
from rhvae_mri.pages.methods import describe_methods, write_methods
from rhvae_mri.provenance.tables import read_download_facts
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    given, output, params = snakemake.input, snakemake.output, snakemake.params
    config, schema = read_yaml(given.configuration), read_json(given.schema)
    facts = read_download_facts(params.converted, given.tables)
    paragraphs, references = describe_methods(
        config,
        read_tsv(given.split),
        read_tsv(given.independent),
        read_tsv(given.layers),
        read_json(given.software),
        facts,
    )
    write_methods(
        paragraphs, references, html=output.html, markdown=output.markdown, simulated=params.simulated
    )
    assumptions = list_assumptions(schema, config, facts)
    write_tsv(output.assumptions, assumptions)
    departures = list_departures(schema, config)
    write_assumptions(
        assumptions, departures, output.assumptions_html, title=params.title, simulated=params.simulated
    )
