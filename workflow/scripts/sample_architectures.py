from rhvae_mri.logs import log_job
from rhvae_mri.search.candidates import draw_for_study, write_candidates

with log_job(snakemake.log[0]):
    params = snakemake.params
    candidates = draw_for_study(
        snakemake.input.stack,
        params.space,
        f"0-{params.n_candidates - 1}",
        resolution=snakemake.wildcards.resolution,
        study_seed=params.seed,
    )
    write_candidates(candidates, snakemake.output.candidates, snakemake.output.table)
