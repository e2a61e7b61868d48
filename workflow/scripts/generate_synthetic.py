import pandas

from rhvae_mri.generators.contract import check_codes, decode_each, faults_of
from rhvae_mri.generators.interface import save_codes
from rhvae_mri.generators.registry import load_class
from rhvae_mri.io.files import write_json, write_tsv
from rhvae_mri.io.tensor_files import ImageStack, write_image_stack
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    params, names, output = snakemake.params, snakemake.wildcards, snakemake.output
    device = str(choose_device(snakemake.config["study"]["device"], snakemake.threads))
    model = names.training_set + names.replicate
    seed = derive_seed(params.seed, "generate_synthetic", model, names.diagnosis)
    with ImageStack(snakemake.input.stack) as stack:
        image_shape = stack.shape
    # The first n images of a file are the synthetic set of size n, whatever the largest size.
    image_ids = [f"synthetic-{number:05d}" for number in range(params.n_images)]
    table, report = pandas.DataFrame({"image_id": image_ids}), {}
    with faults_of(params.model):
        generator = load_class(params.model).load(snakemake.input.model, device)
        codes = generator.draw(params.n_images, seed=seed, **params.sampler)
        check_codes(params.model, "draw", codes, params.n_images)
        if hasattr(generator, "report_draws"):
            table, report = generator.report_draws(image_ids)
        images = decode_each(params.model, generator, codes, image_shape, params.dtype)
        write_image_stack(output.stack, image_ids, images, image_shape, params.dtype)
    save_codes(output.codes, codes)
    write_tsv(output.index, table)
    write_json(output.chains, report)
