from pathlib import Path

from rhvae_mri.runtime.logs import log_job
from rhvae_mri.simulate.download import simulate_download
from rhvae_mri.simulate.participants import SPECIAL_CASES
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    params = snakemake.params
    simulate_download(
        params.cohort,
        params.participants | (SPECIAL_CASES[params.cohort] if params.special_cases else {}),
        float(params.voxel_size),
        derive_seed(params.seed, "simulate_download", params.cohort),
        Path(snakemake.output.images),
        Path(snakemake.output.tables),
        Path(snakemake.output.truth),
        generation=params.generation,
    )
