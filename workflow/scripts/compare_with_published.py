from rhvae_mri.evaluation.assumptions import list_departures
from rhvae_mri.evaluation.published import read_published
from rhvae_mri.evaluation.replication import compare_with_published
from rhvae_mri.evaluation.sheets import render_sheets
from rhvae_mri.evaluation.statistics_pages import REPLICATION_NOTES, replication_sheets
from rhvae_mri.files import read_json, read_tsv, read_yaml, write_tsv
from rhvae_mri.logs import log_job

with log_job(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    schema, config = read_json(snakemake.input.schema), read_yaml(snakemake.input.configuration)
    table = compare_with_published(
        read_tsv(snakemake.input.estimates),
        read_published(snakemake.input.published),
        margin=params.margin,
        confidence=params.confidence,
        minimum_runs=params.minimum_runs,
        departures=list_departures(schema, config),
    )
    write_tsv(output.table, table)
    render_sheets(
        replication_sheets(table),
        {"html": output.html, "markdown": output.markdown, "latex": output.latex},
        title=f"{params.title}: against the published results",
        notes=REPLICATION_NOTES,
        simulated=params.simulated,
    )
