from rhvae_mri.files import read_tsv, write_tsv
from rhvae_mri.imaging.images import derivative_table
from rhvae_mri.logs import log_job
from rhvae_mri.quality.similarity import check_quality

with log_job(snakemake.log[0]):
    images = read_tsv(snakemake.input.table)[["image_id", "participant_id", "session_id"]]
    registered = derivative_table(snakemake.input.images).rename(columns={"path": "registered"})
    quality = check_quality(
        images.merge(registered, on="image_id"),
        snakemake.input.template,
        minimum_similarity=snakemake.params.minimum_similarity,
        minimum_overlap=snakemake.params.minimum_overlap,
    )
    write_tsv(snakemake.output.table, quality)
