import shutil
from pathlib import Path

from rhvae_mri.cnn.augmentation import AugmentationSettings
from rhvae_mri.cnn.storage import join_histories, save_networks
from rhvae_mri.cnn.training import TrainingSettings, train_networks, training_metrics
from rhvae_mri.cohort.image_sets import build_training_sets
from rhvae_mri.io.files import write_json, write_tsv
from rhvae_mri.runtime.checkpoints import run_digest
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.search.leaderboard import choose_network
from rhvae_mri.study.grid import seeds_of_batch
from rhvae_mri.study.names import CLASSES

with log_job(snakemake.log[0]):
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    device = choose_device(snakemake.config["study"]["device"], snakemake.threads)
    chosen = (names.architecture, names.resolution, params.cnn["learning_rate"], params.cnn["weight_decay"])
    architecture, *steps = choose_network(given.architectures, *chosen, given.get("search"))
    augmentation = AugmentationSettings() if names.training_data == "classic" else None
    batch_size, precision = params.cnn["batch_size"], params.cnn["precision"]
    # Beside the output, because Snakemake deletes the declared outputs of a failed job.
    checkpoints = Path(snakemake.output.networks).with_name("checkpoints")
    condition = [value for name, value in names.items() if value and name != "seeds"]
    seeds = seeds_of_batch(names.seeds, params.seed, condition)
    trained = {}
    for place, (training_set, runs) in enumerate(params.training_sets):
        # of each replicate in turn
        synthetic = given.synthetic[len(CLASSES) * place :][: len(CLASSES)]
        sets = (training_set, names.training_data, synthetic, params.n_synthetic_per_class)
        train, validation = build_training_sets(given.stack, given.split, *sets)
        trained |= train_networks(
            architecture,
            train,
            validation,
            TrainingSettings(params.epochs, batch_size, *steps, augmentation, precision),
            seeds={run: seeds[run] for run in runs},
            device=device,
            checkpoints=checkpoints,
            digest=run_digest(dict(params.items()), *given),
            resident_bytes=int(snakemake.config["cnn"]["resident_gb"] * 1e9),
        )
    trained = dict(sorted(trained.items()))
    save_networks(snakemake.output.networks, trained)
    write_tsv(snakemake.output.history, join_histories(trained))
    write_json(snakemake.output.metrics, training_metrics(trained, len(train), precision, device))
    shutil.rmtree(checkpoints, ignore_errors=True)
