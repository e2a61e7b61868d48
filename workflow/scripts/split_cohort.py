from pathlib import Path

from rhvae_mri.cohort.duplicates import leave_out
from rhvae_mri.cohort.images import read_images, select_usable
from rhvae_mri.cohort.leakage import check_leakage
from rhvae_mri.cohort.split import split_cohort
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    params = snakemake.params
    usable = select_usable(read_images(Path(snakemake.input.images)), read_tsv(snakemake.input.quality))
    usable = leave_out(usable, read_tsv(snakemake.input.duplicates), params.cohort)
    seed = derive_seed(params.seed, "split_cohort")
    result = split_cohort(usable, seed=seed, n_draws=params.n_draws, **params.split)
    check_leakage(result.split, {}, {}, cohort=params.cohort)
    write_tsv(snakemake.output.split, result.split)
    write_tsv(snakemake.output.balance, result.balance)
