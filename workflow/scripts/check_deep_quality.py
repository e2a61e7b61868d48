from rhvae_mri.io.files import write_tsv
from rhvae_mri.preprocess.images import derivative_table
from rhvae_mri.quality.deep_quality import check_deep_quality
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    table = check_deep_quality(
        derivative_table(snakemake.input.images).rename(columns={"path": "registered"}),
        snakemake.input.get("weights") or None,
        **snakemake.params.deep,
        device=snakemake.config["study"]["device"],
        threads=snakemake.threads,
    )
    write_tsv(snakemake.output.table, table)
