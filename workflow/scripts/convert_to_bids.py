from rhvae_mri.convert.conversion import convert_to_bids
from rhvae_mri.io.files import write_json
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    given, output = snakemake.input, snakemake.output
    convert_to_bids(
        snakemake.wildcards.cohort,
        given.images,
        given.tables,
        output.bids,
        output.report,
        output.tables,
        processes=snakemake.threads,
        source=snakemake.params.source,
    )
    write_json(output.folders, {"digest": snakemake.params.folders})
