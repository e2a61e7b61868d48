from rhvae_mri.logs import log_job
from rhvae_mri.search.candidates import write_candidates
from rhvae_mri.search.space import SearchSpace, draw_candidates
from rhvae_mri.seeds import derive_seed
from rhvae_mri.tensor_files import ImageStack

with log_job(snakemake.log[0]):
    params = snakemake.params
    with ImageStack(snakemake.input.stack) as images:
        shape = images.shape
    seed = derive_seed(params.seed, "sample_architectures", snakemake.wildcards.resolution)
    candidates = draw_candidates(SearchSpace(**params.space), params.n_candidates, shape, seed)
    write_candidates(candidates, snakemake.output.candidates, snakemake.output.table)
