from rhvae_mri.files import read_tsv, write_tsv
from rhvae_mri.generators.assessment.measures import EvidenceSettings, measure_generation
from rhvae_mri.generators.assessment.neighbours import neighbour_table
from rhvae_mri.generators.assessment.pictures import save_pictures
from rhvae_mri.generators.rhvae.storage import load_model
from rhvae_mri.generators.rhvae.synthetic import load_decoded
from rhvae_mri.learning.devices import choose_device
from rhvae_mri.logs import log_job
from rhvae_mri.seeds import derive_seed
from rhvae_mri.study_data import list_class_images, read_class_images
from rhvae_mri.tensor_files import ImageStack

with log_job(snakemake.log[0]):
    params, names = snakemake.params, snakemake.wildcards
    training, held_out = (
        read_class_images(snakemake.input.stack, snakemake.input.split, images, names.diagnosis)
        for images in (names.training_set, "validation")
    )
    device = choose_device(snakemake.config["study"]["device"], snakemake.threads)
    model = load_model(snakemake.input.model, device)
    settings = EvidenceSettings()
    synthetic = load_decoded(snakemake.input.codes, model)
    seed = derive_seed(params.seed, "measure_generation", names.training_set, names.diagnosis)
    with ImageStack(snakemake.input.stored) as stored:
        table = measure_generation(
            model, training, held_out, synthetic, seed=seed, stored=stored.as_array(), settings=settings
        )
    table.insert(0, "training_set", names.training_set)
    table.insert(1, "diagnosis", names.diagnosis)
    write_tsv(snakemake.output.table, table)
    synthetic = synthetic[: settings.n_synthetic]
    synthetic_ids = read_tsv(snakemake.input.index)["image_id"].tolist()[: len(synthetic)]
    training_ids = list_class_images(snakemake.input.split, names.training_set, names.diagnosis)
    neighbours = neighbour_table(synthetic, synthetic_ids, training, training_ids)
    write_tsv(snakemake.output.neighbours, neighbours)
    save_pictures(
        snakemake.output.pictures,
        snakemake.output.pictures_table,
        model,
        training,
        training_ids,
        synthetic,
        synthetic_ids,
    )
