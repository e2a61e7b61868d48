import json
from pathlib import Path

import pandas

from rhvae_mri.cohort.image_sets import read_class_images
from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
from rhvae_mri.generators.rhvae.storage import save_model
from rhvae_mri.generators.rhvae.training import train_rhvae
from rhvae_mri.io.files import write_tsv
from rhvae_mri.runtime.checkpoints import run_digest
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed
from rhvae_mri.study.settings import fill

with log_job(snakemake.log[0]):
    params, names = snakemake.params, snakemake.wildcards
    images = read_class_images(
        snakemake.input.stack, snakemake.input.split, names.training_set, names.diagnosis
    )
    # Beside the output, because Snakemake deletes the declared outputs of a failed job.
    checkpoint = Path(snakemake.output.model).with_name("checkpoint.safetensors")
    trained = train_rhvae(
        images,
        fill(RHVAESettings, params.rhvae),
        fill(TrainingSettings, params.rhvae),
        seed=derive_seed(params.seed, "train_rhvae", names.training_set, names.diagnosis),
        device=choose_device(snakemake.config["study"]["device"], snakemake.threads),
        checkpoint=checkpoint,
        digest=run_digest(dict(params.items()), *snakemake.input),
        progress=True,
    )
    notes = {name: getattr(trained, name) for name in ("best_epoch", "final_loss", "recoveries")}
    save_model(snakemake.output.model, trained.model, {"training": json.dumps(notes)})
    write_tsv(snakemake.output.history, pandas.DataFrame(trained.history))
    checkpoint.unlink(missing_ok=True)
