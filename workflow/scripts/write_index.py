from pathlib import Path

from rhvae_mri.pages.index import write_index
from rhvae_mri.runtime.logs import log_job

with log_job(snakemake.log[0]):
    captions = {Path(file).stem: Path(file).read_text(encoding="utf-8") for file in snakemake.input.captions}
    write_index(
        snakemake.output.page,
        list(snakemake.input),
        captions,
        title=snakemake.params.title,
        simulated=snakemake.params.simulated,
    )
