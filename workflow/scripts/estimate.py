from pathlib import Path

from rhvae_mri.cost.estimate import describe_estimate, estimate_cost
from rhvae_mri.io.files import write_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    reference = Path(snakemake.input.benchmarks).parent
    table = estimate_cost(reference, snakemake.params.configuration, snakemake.params.gpu_speedup)
    write_tsv(snakemake.output.table, table)
print(describe_estimate(table), flush=True)
