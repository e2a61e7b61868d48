from rhvae_mri.evaluation.comparisons import compare_conditions
from rhvae_mri.evaluation.estimates import load_replicates
from rhvae_mri.evaluation.predictions import load_predictions
from rhvae_mri.evaluation.published import read_published
from rhvae_mri.evaluation.sheets import render_sheets
from rhvae_mri.evaluation.statistics_pages import COMPARISON_NOTES, comparison_sheets
from rhvae_mri.files import write_tsv
from rhvae_mri.logs import log_job

with log_job(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    table = compare_conditions(
        load_predictions(snakemake.input.predictions),
        load_replicates(snakemake.input.replicates),
        read_published(snakemake.input.published),
        confidence=params.confidence,
        n_permutations=params.permutations,
        seed=params.seed,
    )
    write_tsv(output.table, table)
    render_sheets(
        comparison_sheets(table),
        {"html": output.html, "markdown": output.markdown, "latex": output.latex},
        title=f"{params.title}: conditions against real images",
        notes=COMPARISON_NOTES,
        simulated=params.simulated,
    )
