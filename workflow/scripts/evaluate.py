import pandas

from rhvae_mri.cnn.prediction import predict
from rhvae_mri.cnn.storage import load_networks
from rhvae_mri.cohort.image_sets import list_evaluated_sets
from rhvae_mri.io.files import write_tsv
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.statistics.histories import condition_of
from rhvae_mri.statistics.predictions import prediction_table

with log_job(snakemake.log[0]):
    params = snakemake.params
    device = choose_device(snakemake.config["study"]["device"], snakemake.threads)
    stacks = dict(zip(params.cohorts, snakemake.input.stacks, strict=True))
    sets = list_evaluated_sets(snakemake.input.split, snakemake.input.independent, stacks)
    networks = {
        seed: network for file in snakemake.input.networks for seed, network in load_networks(file).items()
    }
    condition, tables = condition_of(snakemake.output.predictions), []
    options = {"batch_size": params.batch_size, "device": device, "precision": params.precision}
    options["resident_bytes"] = int(snakemake.config["cnn"]["resident_gb"] * 1e9)
    for *evaluated, images, image_ids in sets:
        for seed, network in sorted(networks.items()):
            found = predict(network.network(), images, **options)
            tables.append(prediction_table(condition, seed, *evaluated, image_ids, images.labels, found))
    write_tsv(snakemake.output.predictions, pandas.concat(tables, ignore_index=True))
