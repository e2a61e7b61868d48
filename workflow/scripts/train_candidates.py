import shutil
from pathlib import Path

from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.runtime.checkpoints import run_digest
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.search.cross_validation import cross_validate
from rhvae_mri.search.space import draw_for_study
from rhvae_mri.study.seeds import derive_seed

with log_job(snakemake.log[0]):
    params, files, names = snakemake.params, snakemake.input, snakemake.wildcards
    # Beside the output, because Snakemake deletes the declared outputs of a failed job.
    checkpoints = Path(snakemake.output.results).with_name("checkpoints")
    own = {"resolution": names.resolution, "study_seed": params.seed}
    candidates = draw_for_study(files.stack, params.search["space"], names.candidates, **own)
    results, history = cross_validate(
        candidates,
        files.stack,
        read_tsv(files.folds),
        epochs=params.search["epochs"],
        **params.cnn,
        seed=derive_seed(params.seed, "train_candidates", names.resolution),
        device=choose_device(snakemake.config["study"]["device"], snakemake.threads),
        checkpoints=checkpoints,
        digest=run_digest({"code": params.code}, files.stack, files.folds),
    )
    write_tsv(snakemake.output.results, results)
    write_tsv(snakemake.output.history, history)
    shutil.rmtree(checkpoints, ignore_errors=True)
