from pathlib import Path

import pandas

from rhvae_mri.cohort.demographics import describe_sets, read_described_sets
from rhvae_mri.cohort.duplicates import leave_out
from rhvae_mri.cohort.images import TEXT_COLUMNS, read_images, select_usable
from rhvae_mri.cohort.leakage import check_leakage
from rhvae_mri.cohort.split import draw_test_cohorts, write_independent
from rhvae_mri.io.files import read_tsv, write_json, write_tsv
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    given, params = snakemake.input, snakemake.params
    duplicates = pandas.concat(map(read_tsv, given.duplicates), ignore_index=True)
    training_cohort, *others = params.cohorts
    usable = {
        cohort: leave_out(select_usable(read_images(Path(images)), read_tsv(quality)), duplicates, cohort)
        for cohort, images, quality in zip(others, given.images[1:], given.quality[1:], strict=True)
    }
    # the seed of the split, from before it had a rule of its own
    seed = derive_seed(params.seed, "split_cohort")
    tested = draw_test_cohorts(usable, {"AIBL": params.aibl_per_class}, seed)
    split = read_tsv(given.split, TEXT_COLUMNS)
    leakage = check_leakage(split, {}, tested, duplicates, cohort=training_cohort)
    write_json(snakemake.output.leakage, leakage)
    write_independent(Path(snakemake.output.independent), tested)
    sets, cohorts = read_described_sets(given.split, snakemake.output.independent, given.images)
    write_tsv(snakemake.output.demographics, describe_sets(sets | cohorts))
