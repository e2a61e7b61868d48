from rhvae_mri.cohort.image_sets import list_class_images, read_class_images
from rhvae_mri.generators.assessment.measures import MeasureSettings, measure_generation
from rhvae_mri.generators.assessment.neighbours import neighbour_table
from rhvae_mri.generators.assessment.pictures import save_pictures
from rhvae_mri.generators.rhvae.storage import load_model
from rhvae_mri.io.files import write_tsv
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    params, names = snakemake.params, snakemake.wildcards
    training, held_out = (
        read_class_images(snakemake.input.stack, snakemake.input.split, images, names.diagnosis)
        for images in (names.training_set, "validation")
    )
    device = choose_device(snakemake.config["study"]["device"], snakemake.threads)
    model = load_model(snakemake.input.model, device)
    with ImageStack(snakemake.input.synthetic) as stack:
        synthetic, synthetic_ids = stack.as_array(), stack.keys
    seed = derive_seed(params.seed, "measure_generation", names.training_set, names.diagnosis)
    settings = MeasureSettings()
    table = measure_generation(model, training, held_out, synthetic, seed=seed, settings=settings)
    table.insert(0, "training_set", names.training_set)
    table.insert(1, "diagnosis", names.diagnosis)
    write_tsv(snakemake.output.table, table)
    synthetic, synthetic_ids = synthetic[: settings.n_synthetic], synthetic_ids[: settings.n_synthetic]
    training_ids = list_class_images(snakemake.input.split, names.training_set, names.diagnosis)
    neighbours = neighbour_table(synthetic, synthetic_ids, training, training_ids)
    write_tsv(snakemake.output.neighbours, neighbours)
    sets = (training, training_ids, synthetic, synthetic_ids)
    save_pictures(snakemake.output.pictures, snakemake.output.pictures_table, model, *sets)
