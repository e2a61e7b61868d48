from functools import partial
from pathlib import Path

import pandas

from rhvae_mri.cohort.image_sets import read_class_images
from rhvae_mri.generators.contract import check_generator, faults_of, read_history
from rhvae_mri.generators.registry import BUILT_IN, load_class
from rhvae_mri.io.files import write_tsv
from rhvae_mri.runtime.checkpoints import run_digest
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    params, names, output = snakemake.params, snakemake.wildcards, snakemake.output
    images = read_class_images(snakemake.input.stack, snakemake.input.split, params.images, names.diagnosis)
    device = str(choose_device(snakemake.config["study"]["device"], snakemake.threads))
    model = names.training_set + names.replicate
    seed = derive_seed(params.seed, f"train_{params.generator}", model, names.diagnosis)
    # Beside the output, because Snakemake deletes the declared outputs of a failed job. One of other images,
    # settings or code has another name.
    folder = Path(output.model).parent
    digest = run_digest(dict(params.items()), *snakemake.input)[:16]
    checkpoint = folder / f"checkpoint-{digest}.safetensors"
    for old in {*folder.glob("checkpoint*.safetensors")} - {checkpoint}:
        old.unlink()
    with faults_of(params.model):
        chosen = load_class(params.model)
        fitted = chosen.fit(images, seed=seed, device=device, checkpoint=checkpoint, **params.settings)
        fitted.save(output.model)
        if params.generator not in BUILT_IN:
            check_generator(
                params.model, fitted, partial(chosen.load, output.model, device), images.shape[1:], seed
            )
        history = read_history(params.model, fitted)
    write_tsv(output.history, pandas.DataFrame(history, columns=None if history else ["epoch"]))
    checkpoint.unlink(missing_ok=True)
