from rhvae_mri.figures.scheme import draw_scheme
from rhvae_mri.io.files import read_tsv
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    draw_scheme(
        read_tsv(snakemake.input.split),
        read_tsv(snakemake.input.independent),
        snakemake.params.conditions,
        generated_per_class=snakemake.params.generated_per_class,
        n_seeds=snakemake.params.n_seeds,
        svg=snakemake.output.svg,
        pdf=snakemake.output.pdf,
        tsv=snakemake.output.table,
        simulated=snakemake.params.simulated,
    )
