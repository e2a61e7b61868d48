from pathlib import Path

from rhvae_mri.cohort.images import read_images, select_usable
from rhvae_mri.cohort.leakage import check_leakage
from rhvae_mri.cohort.split import draw_test_participants, split_cohort, write_independent, write_split
from rhvae_mri.files import read_tsv, write_json
from rhvae_mri.logs import log_job
from rhvae_mri.seeds import derive_seed

PARAMETERS = (
    "n_test_per_class",
    "validation_fraction",
    "train_subsets",
    "p_threshold",
    "site_threshold",
    "max_tries",
    "require_balance",
)

with log_job(snakemake.log[0]):
    usable = {
        cohort: select_usable(read_images(Path(images)), read_tsv(quality))
        for cohort, images, quality in zip(
            snakemake.params.cohorts, snakemake.input.images, snakemake.input.quality, strict=True
        )
    }
    adni = usable.pop("ADNI")
    result = split_cohort(
        adni,
        seed=derive_seed(snakemake.params.seed, "split_cohort"),
        **{name: snakemake.params[name] for name in PARAMETERS},
    )
    per_class = snakemake.params.aibl_per_class
    tested = {
        cohort: draw_test_participants(
            images,
            None if per_class == "all" else per_class,
            derive_seed(snakemake.params.seed, "split_cohort", cohort),
        )
        for cohort, images in usable.items()
    }
    leakage = check_leakage(result.split, {}, tested)
    output = [Path(snakemake.output[name]) for name in ("split", "balance", "demographics")]
    write_split(result, *output, test_cohorts=tested)
    write_independent(Path(snakemake.output.independent), tested)
    write_json(snakemake.output.leakage, leakage)
