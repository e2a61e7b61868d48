from pathlib import Path

from rhvae_mri.convert.conversion import convert_to_bids
from rhvae_mri.convert.oasis import convert_oasis
from rhvae_mri.io.files import write_json
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    convert = convert_oasis if snakemake.params.source == "oasis1" else convert_to_bids
    convert(
        snakemake.wildcards.cohort,
        Path(snakemake.input.images),
        Path(snakemake.input.tables),
        Path(snakemake.output.bids),
        Path(snakemake.output.report),
        Path(snakemake.output.tables),
        processes=snakemake.threads,
    )
    write_json(snakemake.output.folders, {"digest": snakemake.params.folders})
