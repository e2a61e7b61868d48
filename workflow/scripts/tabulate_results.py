from pathlib import Path

import rhvae_mri
from rhvae_mri.io.files import read_json, read_tsv, read_yaml, write_tsv
from rhvae_mri.pages.assumptions import list_departures
from rhvae_mri.pages.rendering import render_classification
from rhvae_mri.pages.sheets import render_sheets
from rhvae_mri.pages.statistics_pages import (
    COMPARISON_NOTES,
    REPLICATION_NOTES,
    comparison_sheets,
    replication_sheets,
)
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.statistics.published import read_published
from rhvae_mri.statistics.replication import compare_with_published
from rhvae_mri.statistics.tables import classification_table, sizes_of_test_sets


def pages(table):
    """The files of a table for reading, by their kind."""
    kinds = {"html": ".html", "markdown": ".md", "latex": ".tex"}
    return {kind: Path(table).with_suffix(suffix) for kind, suffix in kinds.items()}


with log_job(snakemake.log[0]):
    given, params, output = snakemake.input, snakemake.params, snakemake.output
    published = read_published(given.published)

    runs = read_tsv(given.runs)
    classification = classification_table(runs, published)
    write_tsv(output.classification, classification)
    render_classification(
        classification,
        *pages(output.classification).values(),
        simulated=params.simulated,
        title=params.title,
        provenance={
            "rhvae-mri": rhvae_mri.__version__,
            "study's seed": params.seed,
            "optimized network": params.optimized,
            **sizes_of_test_sets(runs),
        },
    )

    render_sheets(
        comparison_sheets(read_tsv(given.comparisons)),
        pages(given.comparisons),
        title=f"{params.title}: conditions against real images",
        notes=COMPARISON_NOTES,
        simulated=params.simulated,
    )

    replication = compare_with_published(
        read_tsv(given.estimates),
        published,
        margin=params.margin,
        confidence=params.confidence,
        minimum_runs=params.minimum_runs,
        departures=list_departures(read_json(given.schema), read_yaml(given.configuration)),
    )
    write_tsv(output.published, replication)
    render_sheets(
        replication_sheets(replication),
        pages(output.published),
        title=f"{params.title}: against the published results",
        notes=REPLICATION_NOTES,
        simulated=params.simulated,
    )
