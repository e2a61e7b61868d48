import shutil
from pathlib import Path

import pandas

from rhvae_mri.cnn.augmentation import AugmentationSettings
from rhvae_mri.cnn.storage import save_networks
from rhvae_mri.cnn.training import TrainingSettings, train_networks, training_metrics
from rhvae_mri.cohort.image_sets import build_training_sets
from rhvae_mri.io.files import write_json, write_tsv
from rhvae_mri.runtime.checkpoints import run_digest
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.search.leaderboard import choose_network
from rhvae_mri.study.grid import seeds_of_batch

with log_job(snakemake.log[0]):
    params, names = snakemake.params, snakemake.wildcards
    device = choose_device(snakemake.config["study"]["device"], snakemake.threads)
    train, validation = build_training_sets(
        snakemake.input.stack,
        snakemake.input.split,
        names.training_set,
        names.training_data,
        snakemake.input.synthetic,
        params.n_synthetic_per_class,
    )
    augmentation = AugmentationSettings() if names.training_data == "classic" else None
    architecture, learning_rate, weight_decay = choose_network(
        snakemake.input.architectures,
        names.architecture,
        names.resolution,
        params.cnn["learning_rate"],
        params.cnn["weight_decay"],
        snakemake.input.get("search"),
    )
    # Beside the output, because Snakemake deletes the declared outputs of a failed job.
    checkpoints = Path(snakemake.output.networks).with_name("checkpoints")
    condition = [value for name, value in names.items() if name != "seeds"]
    trained = train_networks(
        architecture,
        train,
        validation,
        TrainingSettings(
            params.epochs,
            params.cnn["batch_size"],
            learning_rate,
            weight_decay,
            augmentation,
            params.cnn["precision"],
        ),
        seeds=seeds_of_batch(names.seeds, params.seed, condition),
        device=device,
        checkpoints=checkpoints,
        digest=run_digest(dict(params.items()), *snakemake.input),
        resident_bytes=int(snakemake.config["cnn"]["resident_gb"] * 1e9),
    )
    save_networks(snakemake.output.networks, trained)
    histories = [pandas.DataFrame(run.history).assign(seed=seed) for seed, run in trained.items()]
    write_tsv(snakemake.output.history, pandas.concat(histories))
    metrics = training_metrics(trained, len(train), params.cnn["precision"], device)
    write_json(snakemake.output.metrics, metrics)
    shutil.rmtree(checkpoints, ignore_errors=True)
