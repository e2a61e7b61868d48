from rhvae_mri.runtime.logs import log_job
from rhvae_mri.simulate.download import write_download
from rhvae_mri.simulate.heads import render_scan
from rhvae_mri.simulate.participants import SPECIAL_CASES, draw_cohort
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    seed = derive_seed(params.seed, "simulate_download", params.cohort)
    counts = params.participants | (SPECIAL_CASES[params.cohort] if params.special_cases else {})
    participants = draw_cohort(params.cohort, counts, float(params.voxel_size), seed)
    places = (output.images, output.tables, output.truth)
    write_download(participants, render_scan, seed, *places, generation=params.generation)
