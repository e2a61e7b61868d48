from rhvae_mri.generators.rhvae.sampler import chain_summary, chain_table, decode_images, sample_latent
from rhvae_mri.generators.rhvae.settings import SamplerSettings
from rhvae_mri.generators.rhvae.storage import load_model, save_codes
from rhvae_mri.io.files import write_json, write_tsv
from rhvae_mri.io.tensor_files import write_image_stack
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    params, names = snakemake.params, snakemake.wildcards
    device = choose_device(snakemake.config["study"]["device"], snakemake.threads)
    model = load_model(snakemake.input.model, device)
    sampler = params.sampler
    settings = SamplerSettings(sampler["steps"], sampler["leapfrog_steps"], sampler["leapfrog_step_size"])
    seed = derive_seed(params.seed, "generate_synthetic", names.training_set, names.diagnosis)
    sample = sample_latent(model.final_metric(), params.n_images, seed=seed, settings=settings, progress=True)
    # The first n images of a file are the synthetic set of size n, whatever the largest size.
    image_ids = [f"synthetic-{number:05d}" for number in range(params.n_images)]
    save_codes(snakemake.output.codes, sample.positions)
    images = decode_images(model, sample.positions, params.dtype)
    write_image_stack(snakemake.output.stack, image_ids, images, model.image_shape, params.dtype)
    write_tsv(snakemake.output.index, chain_table(sample, image_ids))
    write_json(snakemake.output.chains, chain_summary(sample, settings))
