import yaml

from rhvae_mri.io.files import read_json, read_tsv
from rhvae_mri.pages.methods import describe_methods
from rhvae_mri.pages.methods_page import write_methods
from rhvae_mri.provenance.tables import read_download_facts
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    with open(snakemake.input.configuration, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    sections, references = describe_methods(
        config,
        read_tsv(snakemake.input.split),
        read_tsv(snakemake.input.independent),
        read_tsv(snakemake.input.layers),
        read_json(snakemake.input.software),
        read_download_facts(snakemake.params.converted, snakemake.input.tables),
    )
    write_methods(
        sections,
        references,
        html=snakemake.output.html,
        markdown=snakemake.output.markdown,
        simulated=snakemake.params.simulated,
    )
