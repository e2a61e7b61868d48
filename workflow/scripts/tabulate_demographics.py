from rhvae_mri.cohort.demographics import compare_sets, list_comparisons, read_described_sets
from rhvae_mri.io.files import read_json, read_tsv, write_tsv
from rhvae_mri.pages.demographics_page import write_demographics
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    sets, test_cohorts = read_described_sets(given.split, given.independent, given.images)
    differences = compare_sets(list_comparisons(sets, test_cohorts), params.seed)
    write_tsv(output.differences, differences)
    write_demographics(
        read_tsv(given.demographics),
        differences,
        read_json(given.leakage),
        output.html,
        title=params.title,
        simulated=params.simulated,
    )
