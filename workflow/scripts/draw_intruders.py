from rhvae_mri.figures.intruders import draw_intruders
from rhvae_mri.figures.slices import read_examples
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.study.seeds import derive_seed

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
    draw_intruders(
        real,
        synthetic,
        derive_seed(params.seed, snakemake.rule, "order"),
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        answers=snakemake.output.answers,
        simulated=params.simulated,
    )
