from pathlib import Path

from rhvae_mri.cohort.images import read_images, select_usable
from rhvae_mri.cohort.leakage import check_leakage
from rhvae_mri.cohort.split import draw_test_cohorts, split_cohort, write_independent, write_split
from rhvae_mri.files import read_tsv, write_json
from rhvae_mri.logs import log_job
from rhvae_mri.seeds import derive_seed

SETTINGS = (
    "n_test_per_class",
    "validation_fraction",
    "train_subsets",
    "p_threshold",
    "site_threshold",
    "max_tries",
    "require_balance",
)

with log_job(snakemake.log[0]):
    params = snakemake.params
    files = zip(params.cohorts, snakemake.input.images, snakemake.input.quality, strict=True)
    usable = {
        cohort: select_usable(read_images(Path(images)), read_tsv(quality))
        for cohort, images, quality in files
    }
    seed = derive_seed(params.seed, "split_cohort")
    result = split_cohort(usable.pop("ADNI"), seed=seed, **{name: params[name] for name in SETTINGS})
    tested = draw_test_cohorts(usable, {"AIBL": params.aibl_per_class}, seed)
    leakage = check_leakage(result.split, {}, tested)
    output = [Path(snakemake.output[name]) for name in ("split", "balance", "demographics")]
    write_split(result, *output, test_cohorts=tested)
    write_independent(Path(snakemake.output.independent), tested)
    write_json(snakemake.output.leakage, leakage)
