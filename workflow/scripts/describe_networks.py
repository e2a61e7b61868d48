from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.io.files import write_tsv
from rhvae_mri.provenance.networks import NETWORK_SETTINGS, choose_classifiers, read_shapes, tabulate_networks
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    params = snakemake.params
    settings = RHVAESettings(**{name: params[name] for name in NETWORK_SETTINGS})
    searches = dict(zip(params.resolutions, snakemake.input.searches, strict=False))
    table = tabulate_networks(
        choose_classifiers(params.conditions, snakemake.input.architectures, searches),
        read_shapes(dict(zip(params.resolutions, snakemake.input.stacks, strict=True))),
        settings if params.has_rhvae else None,
    )
    write_tsv(snakemake.output.table, table)
