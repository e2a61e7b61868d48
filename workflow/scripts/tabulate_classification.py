import rhvae_mri
from rhvae_mri.evaluation.published import read_published
from rhvae_mri.evaluation.rendering import render_classification
from rhvae_mri.evaluation.tables import classification_table, sizes_of_test_sets
from rhvae_mri.files import read_tsv, write_tsv
from rhvae_mri.logs import log_job

with log_job(snakemake.log[0]):
    runs = read_tsv(snakemake.input.runs)
    table = classification_table(runs, read_published(snakemake.input.published))
    write_tsv(snakemake.output.table, table)
    render_classification(
        table,
        snakemake.output.html,
        snakemake.output.markdown,
        snakemake.output.latex,
        simulated=snakemake.params.simulated,
        title=snakemake.params.title,
        provenance={
            "rhvae-mri": rhvae_mri.__version__,
            "study's seed": snakemake.params.seed,
            "optimized network": snakemake.params.optimized,
            **sizes_of_test_sets(runs),
        },
    )
