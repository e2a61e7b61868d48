from pathlib import Path

from rhvae_mri.logs import log_job
from rhvae_mri.seeds import derive_seed
from rhvae_mri.simulate.download import simulate_download

with log_job(snakemake.log[0]):
    simulate_download(
        snakemake.params.cohort,
        snakemake.params.participants,
        snakemake.params.voxel_size,
        derive_seed(snakemake.params.seed, "simulate_download", snakemake.params.cohort),
        Path(snakemake.output.images),
        Path(snakemake.output.tables),
        Path(snakemake.output.truth),
        generation=snakemake.params.generation,
    )
