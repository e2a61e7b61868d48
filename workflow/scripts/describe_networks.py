from rhvae_mri.cnn.architectures import read_architectures
from rhvae_mri.files import write_tsv
from rhvae_mri.logs import log_job
from rhvae_mri.network_table import NETWORK_SETTINGS, read_shapes, tabulate_networks
from rhvae_mri.rhvae.settings import RHVAESettings

with log_job(snakemake.log[0]):
    params = snakemake.params
    settings = RHVAESettings(**{name: params[name] for name in NETWORK_SETTINGS})
    table = tabulate_networks(
        read_architectures(snakemake.input.architectures),
        [(one["architecture"], one["resolution"]) for one in params.conditions],
        read_shapes(dict(zip(params.resolutions, snakemake.input.stacks, strict=True))),
        settings if params.has_rhvae else None,
    )
    write_tsv(snakemake.output.table, table)
