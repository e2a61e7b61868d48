from rhvae_mri.figures.slices import draw_slices, read_examples
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    params = snakemake.params
    real, synthetic = read_examples(
        snakemake.input.real,
        read_tsv(snakemake.input.split),
        dict(zip(("AD", "CN"), snakemake.input.synthetic, strict=True)),
        training_set=params.training_set,
        count=params.examples,
        seed=params.seed,
        figure=snakemake.rule,
    )
    draw_slices(
        real,
        synthetic,
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=params.simulated,
    )
