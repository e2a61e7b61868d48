import rhvae_mri
from rhvae_mri.io.files import read_json, read_tsv, read_yaml, write_tsv
from rhvae_mri.pages.assumptions import list_departures
from rhvae_mri.pages.results import write_classification, write_comparisons, write_replication
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.statistics.conditions import list_doubts
from rhvae_mri.statistics.published import read_published
from rhvae_mri.statistics.replication import compare_with_published
from rhvae_mri.statistics.tables import classification_table, sizes_of_test_sets

with log_job(snakemake.log[0]):
    given, params, output = snakemake.input, snakemake.params, snakemake.output
    study = {"title": params.title, "simulated": params.simulated}
    published, runs = read_published(given.published), read_tsv(given.runs)

    classification = classification_table(runs, published)
    write_tsv(output.classification, classification)
    made = {
        "rhvae-mri": rhvae_mri.__version__,
        "study's seed": params.seed,
        "optimized network": params.optimized,
    }
    made |= sizes_of_test_sets(runs)
    comparisons = read_tsv(given.comparisons)
    doubts = list_doubts(comparisons)
    write_classification(classification, output.classification, **study, made=made, doubts=doubts)

    write_comparisons(comparisons, given.comparisons, **study, training_cohort=params.training_cohort)

    replication = compare_with_published(
        read_tsv(given.estimates),
        published,
        margin=params.margin,
        confidence=params.confidence,
        minimum_runs=params.minimum_runs,
        departures=list_departures(read_json(given.schema), read_yaml(given.configuration)),
    )
    write_tsv(output.published, replication)
    write_replication(replication, output.published, **study)
