import pandas

from rhvae_mri.files import read_json, read_tsv, write_json, write_tsv
from rhvae_mri.logs import log_job
from rhvae_mri.search.leaderboard import rank_candidates, summarise_search
from rhvae_mri.search.space import Candidate

with log_job(snakemake.log[0]):
    candidates = [Candidate.from_dict(each) for each in read_json(snakemake.input.candidates)]
    results = pandas.concat([read_tsv(file) for file in snakemake.input.results], ignore_index=True)
    leaderboard = rank_candidates(candidates, results)
    summary = summarise_search(
        candidates,
        leaderboard,
        resolution=snakemake.wildcards.resolution,
        simulated=snakemake.params.simulated,
    )
    write_tsv(snakemake.output.table, leaderboard)
    write_json(snakemake.output.summary, summary)
