from rhvae_mri.files import write_tsv
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.logs import log_job
from rhvae_mri.network_table import NETWORK_SETTINGS, choose_classifiers, read_shapes, tabulate_networks

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
