import pandas

from rhvae_mri.cnn.saliency import best_on_validation, measure_saliency
from rhvae_mri.cnn.storage import load_networks
from rhvae_mri.cohort.image_sets import build_image_set
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.io.tensor_files import write_image_stack
from rhvae_mri.quality.regions import read_regions
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.statistics.histories import condition_of

with log_job(snakemake.log[0]):
    params = snakemake.params
    split = read_tsv(snakemake.input.split)
    tested = split[split["set"] == "test"]
    images = build_image_set(snakemake.input.stack, tested)
    seed, network = best_on_validation(
        each for file in snakemake.input.networks for each in load_networks(file).items()
    )
    regions = read_regions(snakemake.input.regions, snakemake.wildcards.resolution, params.align_corners)
    maps, rows = measure_saliency(
        network.network(),
        images,
        regions,
        method=params.method,
        steps=params.steps,
        batch_size=params.batch_size,
        device=choose_device(snakemake.config["study"]["device"], snakemake.threads),
    )
    write_image_stack(snakemake.output.maps, list(maps), maps.values(), images.shape)
    selected = network.history[network.selected_epoch - 1]
    run = condition_of(snakemake.output.table) | {"seed": seed}
    run["validation_percent"] = 100 * selected["validation_balanced_accuracy"]
    run |= {"method": params.method, "steps": params.steps}
    rows = [run | {"image_id": name} | row for name, row in zip(tested["image_id"], rows, strict=True)]
    write_tsv(snakemake.output.table, pandas.DataFrame(rows))
