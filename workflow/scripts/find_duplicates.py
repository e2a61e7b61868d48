from rhvae_mri.cohort.duplicates import find_duplicates
from rhvae_mri.io.files import write_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    given, cohort = snakemake.input, snakemake.wildcards.cohort
    cohorts = list(dict.fromkeys([snakemake.params.training_cohort, cohort]))
    duplicates = find_duplicates(
        cohort,
        dict(zip(cohorts, given.images, strict=True)),
        dict(zip(cohorts, given.contents, strict=True)),
        dict(zip(cohorts, given.stacks, strict=True)),
    )
    write_tsv(snakemake.output.table, duplicates)
