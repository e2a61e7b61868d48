from pathlib import Path

from rhvae_mri.audit.page import draw_audit
from rhvae_mri.cohort.bids_tables import read_rows
from rhvae_mri.cohort.decisions import COLUMNS
from rhvae_mri.cohort.images import read_images
from rhvae_mri.cohort.listed_values import TEXT_COLUMNS as LISTED_TEXTS
from rhvae_mri.io.files import read_tsv
from rhvae_mri.quality.definitions import LIMITS
from rhvae_mri.runtime.logs import log_job

NAMES = ("image_id", "participant_id", "session_id")
SIGNED = ("decision_reason", "decided_by", "decided_on")

with log_job(snakemake.log[0]):
    exclude = snakemake.input.exclude
    draw_audit(
        snakemake.wildcards.cohort,
        read_images(snakemake.input.images),
        read_tsv(snakemake.input.quality, (*NAMES, "reason", "flags", *SIGNED)),
        read_tsv(snakemake.input.metrics),
        {step: snakemake.input[step] for step in ("corrected", "registered", "cropped")},
        snakemake.input.template,
        snakemake.output.page,
        voxel_size=snakemake.params.voxel_size,
        simulated=snakemake.params.simulated,
        files=read_tsv(snakemake.input.files),
        thresholds={
            **(LIMITS if snakemake.params.limits else {}),
            "pass_probability": snakemake.params.deep_threshold,
        },
        outlier_z=snakemake.params.outlier_z,
        decisions=read_rows(Path(exclude), required=COLUMNS) if exclude else None,
        listed=read_tsv(snakemake.input["values"], LISTED_TEXTS),
        threads=snakemake.threads,
    )
