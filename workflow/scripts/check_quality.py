from pathlib import Path

from rhvae_mri.cohort.decisions import read_decisions
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.quality.verdict import check_quality
from rhvae_mri.runtime.logs import log_job

NAMES = ("image_id", "participant_id", "session_id")

with log_job(snakemake.log[0]):
    # list_images has checked the names in the same list
    exclude = Path(snakemake.input.exclude) if snakemake.input.exclude else None
    quality = check_quality(
        read_tsv(snakemake.input.metrics, (*NAMES, "fault")),
        read_tsv(snakemake.input.deep_quality, (*NAMES, "reason")),
        read_decisions(exclude, snakemake.wildcards.cohort),
        **snakemake.params.quality,
    )
    write_tsv(snakemake.output.table, quality)
