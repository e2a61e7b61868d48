import pandas

from rhvae_mri.files import write_tsv
from rhvae_mri.learning.devices import choose_device
from rhvae_mri.logs import log_job
from rhvae_mri.rhvae.sampler import sample_latent
from rhvae_mri.rhvae.settings import SamplerSettings
from rhvae_mri.rhvae.storage import load_model
from rhvae_mri.seeds import derive_seed
from rhvae_mri.tensor_files import write_image_stack

with log_job(snakemake.log[0]):
    params, names = snakemake.params, snakemake.wildcards
    model = load_model(snakemake.input.model, choose_device(params.device, snakemake.threads))
    sample = sample_latent(
        model.final_metric(),
        params.n_images,
        seed=derive_seed(params.seed, "generate_synthetic", names.training_set, names.diagnosis),
        settings=SamplerSettings(params.steps, params.leapfrog_steps, params.leapfrog_step_size),
        progress=True,
    )
    # The first n images of a file are the synthetic set of size n, whatever the largest size.
    image_ids = [f"synthetic-{number:05d}" for number in range(params.n_images)]
    write_image_stack(
        snakemake.output.stack,
        image_ids,
        model.decode_one_by_one(sample.positions),
        model.image_shape,
        params.dtype,
    )
    index = pandas.DataFrame({"image_id": image_ids, "acceptance_rate": sample.acceptance.cpu().numpy()})
    latent = pandas.DataFrame(sample.positions.cpu().numpy()).add_prefix("latent_")
    write_tsv(snakemake.output.index, pandas.concat([index, latent], axis=1))
