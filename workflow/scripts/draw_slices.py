from rhvae_mri.figures.slices import choose_examples, draw_slices
from rhvae_mri.files import read_tsv
from rhvae_mri.logs import log_job
from rhvae_mri.seeds import derive_seed
from rhvae_mri.tensor_files import ImageStack


def read_examples(path, names, diagnosis, kind):
    """Read a few images, drawn at random."""
    seed = derive_seed(snakemake.params.seed, "draw_slices", diagnosis, kind)
    with ImageStack(path) as stack:
        chosen = choose_examples(names or stack.keys, snakemake.params.examples, seed)
        return {name: stack.read(name) for name in chosen}


with log_job(snakemake.log[0]):
    split = read_tsv(snakemake.input.split)
    trained_on = split[split[snakemake.params.training_set] == 1]
    real, synthetic = {}, {}
    for diagnosis, path in zip(("AD", "CN"), snakemake.input.synthetic, strict=True):
        names = trained_on["image_id"][trained_on["diagnosis"] == diagnosis].tolist()
        real[diagnosis] = read_examples(snakemake.input.real, names, diagnosis, "real")
        synthetic[diagnosis] = read_examples(path, None, diagnosis, "synthetic")
    draw_slices(
        real,
        synthetic,
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
