from rhvae_mri.cohort.folds import check_folds, compare_folds, split_folds
from rhvae_mri.io.files import read_tsv, write_json, write_tsv
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    split = read_tsv(snakemake.input.split)
    seed = derive_seed(snakemake.params.seed, "split_folds")
    folds = split_folds(split, snakemake.params.n_folds, seed)
    leakage = check_folds(folds, split)
    write_tsv(snakemake.output.folds, folds)
    write_tsv(snakemake.output.balance, compare_folds(folds, seed))
    write_json(snakemake.output.leakage, leakage)
