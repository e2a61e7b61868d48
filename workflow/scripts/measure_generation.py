from rhvae_mri.cohort.image_sets import list_class_images, read_class_images
from rhvae_mri.generators.assessment.measures import MeasureSettings, measure_generation
from rhvae_mri.generators.assessment.neighbours import neighbour_table
from rhvae_mri.generators.assessment.pictures import save_pictures
from rhvae_mri.generators.contract import faults_of
from rhvae_mri.generators.registry import load_class
from rhvae_mri.io.files import write_tsv
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    params, names, output = snakemake.params, snakemake.wildcards, snakemake.output
    training, held_out = (
        read_class_images(snakemake.input.stack, snakemake.input.split, images, names.diagnosis)
        for images in (params.images, "validation")
    )
    training_ids = list_class_images(snakemake.input.split, params.images, names.diagnosis)
    device = str(choose_device(snakemake.config["study"]["device"], snakemake.threads))
    with ImageStack(snakemake.input.synthetic) as stack:
        synthetic, synthetic_ids = stack.as_array(), stack.keys
    model = names.training_set + names.replicate
    seed = derive_seed(params.seed, "measure_generation", model, names.diagnosis)
    settings = MeasureSettings()
    with faults_of(params.model):
        generator = load_class(params.model).load(snakemake.input.model, device)
        table = measure_generation(generator, training, held_out, synthetic, seed=seed, settings=settings)
        synthetic, synthetic_ids = synthetic[: settings.n_synthetic], synthetic_ids[: settings.n_synthetic]
        sets = (training, training_ids, synthetic, synthetic_ids)
        save_pictures(output.pictures, output.pictures_table, generator, *sets)
    model = {"generator": params.generator, "training_set": names.training_set}
    model |= {"replicate": params.replicate, "diagnosis": names.diagnosis}
    for place, (name, value) in enumerate(model.items()):
        table.insert(place, name, value)
    write_tsv(output.table, table)
    write_tsv(output.neighbours, neighbour_table(synthetic, synthetic_ids, training, training_ids))
