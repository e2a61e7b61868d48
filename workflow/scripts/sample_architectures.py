from rhvae_mri.files import write_json, write_tsv
from rhvae_mri.logs import log_job
from rhvae_mri.search.space import draw_for_study, tabulate_candidates

with log_job(snakemake.log[0]):
    params = snakemake.params
    candidates = draw_for_study(
        snakemake.input.stack,
        params.space,
        f"0-{params.n_candidates - 1}",
        resolution=snakemake.wildcards.resolution,
        study_seed=params.seed,
    )
    write_json(snakemake.output.candidates, [candidate.to_dict() for candidate in candidates])
    write_tsv(snakemake.output.table, tabulate_candidates(candidates))
