from safetensors.numpy import save_file

from rhvae_mri.io.files import atomic_path, read_tsv, write_tsv
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.statistics.calibration import measure_calibration
from rhvae_mri.statistics.comparisons import compare_conditions
from rhvae_mri.statistics.estimates import count_confusions, estimate_performance
from rhvae_mri.statistics.histories import read_histories
from rhvae_mri.statistics.predictions import read_predictions, tabulate_runs
from rhvae_mri.statistics.published import read_published

with log_job(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    replication = {"n_replicates": params.replicates, "redraws": params.redraws}
    sets = read_predictions(snakemake.input.predictions, range(params.seeds), **replication)
    write_tsv(output.histories, read_histories(snakemake.input.histories))
    write_tsv(output.runs, tabulate_runs(sets))
    tested = [each for each in sets if each.set == "test"]
    write_tsv(output.confusions, count_confusions(tested))
    sampling = (params.resamples, params.confidence, params.seed)
    estimates = estimate_performance(tested, *sampling, threads=snakemake.threads)
    write_tsv(output.estimates, estimates.table)
    write_tsv(output.curves, estimates.curves)
    with atomic_path(output.resamples) as temporary:
        save_file(estimates.resampled, temporary)
    calibration = measure_calibration(tested, params.bins, *sampling)
    write_tsv(output.calibration, calibration.measures)
    write_tsv(output.reliability, calibration.curves)
    published = read_published(snakemake.input.published)
    flags = read_tsv(snakemake.input.flags) if snakemake.input.get("flags") else None
    compared = compare_conditions(tested, estimates.resampled, published, *sampling, params.primary, flags)
    write_tsv(output.comparisons, compared)
