import pandas

from rhvae_mri.io.files import read_tsv, write_json, write_tsv
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.search.leaderboard import rank_candidates, summarise_search
from rhvae_mri.search.space import draw_for_study, tabulate_candidates

with log_job(snakemake.log[0]):
    params, output, names = snakemake.params, snakemake.output, snakemake.wildcards
    search = (params.space, f"0-{params.n_candidates - 1}")
    own = {"resolution": names.resolution, "study_seed": params.seed}
    candidates = draw_for_study(snakemake.input.stack, *search, **own)
    write_json(output.candidates, [candidate.to_dict() for candidate in candidates])
    write_tsv(output.candidates_table, tabulate_candidates(candidates))
    results = pandas.concat([read_tsv(file) for file in snakemake.input.results], ignore_index=True)
    leaderboard = rank_candidates(candidates, results)
    write_tsv(output.table, leaderboard)
    summary = summarise_search(
        candidates, leaderboard, resolution=names.resolution, simulated=params.simulated
    )
    write_json(output.summary, summary)
