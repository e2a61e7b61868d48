from rhvae_mri.io.files import read_json, read_tsv, read_yaml
from rhvae_mri.pages.methods import describe_methods, write_methods
from rhvae_mri.provenance.tables import read_download_facts
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    paragraphs, references = describe_methods(
        read_yaml(snakemake.input.configuration),
        read_tsv(snakemake.input.split),
        read_tsv(snakemake.input.independent),
        read_tsv(snakemake.input.layers),
        read_json(snakemake.input.software),
        read_download_facts(snakemake.params.converted, snakemake.input.tables),
    )
    write_methods(
        paragraphs,
        references,
        html=snakemake.output.html,
        markdown=snakemake.output.markdown,
        simulated=snakemake.params.simulated,
    )
