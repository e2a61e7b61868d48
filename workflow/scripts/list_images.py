import logging
from pathlib import Path

from rhvae_mri.cohort.clinical_terms import terms_of_cohort
from rhvae_mri.cohort.images import list_images
from rhvae_mri.runtime.logs import keep_beside_log, log_job

logger = logging.getLogger("list_images")

log, output, cohort = snakemake.log[0], snakemake.output, snakemake.params.cohort
with log_job(log), keep_beside_log(log, output["values"], output.table):
    logger.info("Digest of the dataset: %s", snakemake.params.folders)
    list_images(
        snakemake.wildcards.cohort,
        Path(snakemake.input.bids),
        Path(snakemake.input.report) if snakemake.input.report else None,
        Path(snakemake.input.exclude) if snakemake.input.exclude else None,
        Path(output.table),
        require_diagnosis=cohort["require_diagnosis"],
        terms=terms_of_cohort(cohort["source"], cohort["columns"], cohort["values"]),
        prefer=cohort["prefer"] or (),
        values=Path(output["values"]),
        contents=Path(output.contents),
        threads=snakemake.threads,
    )
