"""What the quality gate lets through and what it refuses, on heads whose right verdict is known.

The folder has ``heads.tsv`` with the columns `name`, `set`, `kind` (real, painted, simulated), `verdict`
(keep, exclude) and `sort`, and ``<name>.nii.gz`` for each row. Heads are corrected and registered once; what
the folder of work has already is taken from there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pandas
from reporting import finish, run_benchmark

from rhvae_mri.cohort.decisions import Decisions
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.preprocess.bias_field import correct_bias
from rhvae_mri.preprocess.images import record_faults
from rhvae_mri.preprocess.registration import Levels, register_to_template
from rhvae_mri.preprocess.template import prepare_template
from rhvae_mri.quality.deep_quality import check_deep_quality
from rhvae_mri.quality.metrics import Reference, measure_image
from rhvae_mri.quality.verdict import check_quality
from rhvae_mri.simulate.anatomy import simulate_template

#: The levels for real heads on 4 mm, see `rhvae_mri.preprocess.registration.Levels`.
COARSE = Levels((4, 2, 1), (8, 4, 2), "mm", (1000, 500, 20))


def main() -> int:
    """Measure the heads and count the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("heads", type=Path)
    parser.add_argument("work", type=Path, help="folder for what is made of the heads")
    parser.add_argument("--template", required=True, help="whole-head template of real and painted heads")
    parser.add_argument("--voxel-size", type=float, default=4.0)
    parser.add_argument("--weights", help="of the deep network, as safetensors")
    parser.add_argument("--network", default="squeezenet1_1")
    parser.add_argument("--made-only", action="store_true", help="take only heads that the work folder has")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = read_tsv(arguments.heads / "heads.tsv", ("name",))
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows["registered"] = [str(arguments.work / f"{name}_reg.nii.gz") for name in rows["name"]]
    if arguments.made_only:
        rows = rows[[Path(path).is_file() for path in rows["registered"]]].reset_index(drop=True)
    metrics = measure(rows, arguments)
    deep = check_deep_quality(
        metrics.assign(registered=rows["registered"]), arguments.weights, network=arguments.network
    )
    figures: dict[str, Any] = {"seconds_per_image": float(metrics["seconds"].median())}
    for name, table in {"gate": deep.assign(status="not run"), "gate and network": deep}.items():
        if name == "gate" or arguments.weights:
            verdicts = check_quality(metrics, table, Decisions({}), limits=True, outlier_z=6)
            figures[name] = count_errors(
                rows.assign(status=verdicts["status"], reason=verdicts["reason"]), name
            )
    if arguments.weights:
        alone = check_quality(metrics, deep, Decisions({}), limits=False, outlier_z=6)
        figures["network"] = count_errors(
            rows.assign(status=alone["status"], reason=alone["reason"]), "network"
        )
    write_tsv(
        arguments.work / "metrics.tsv",
        metrics.merge(rows[["name", "set", "kind", "verdict", "sort"]], left_on="image_id", right_on="name"),
    )
    return finish(figures, [], arguments.json)


def measure(rows: pandas.DataFrame, arguments: argparse.Namespace) -> pandas.DataFrame:
    """Preprocess what is not there yet, and measure each head."""
    references, measured = {}, []
    for row in rows.to_dict("records"):
        simulated = row["kind"] == "simulated"
        template = arguments.work / ("template_sim.nii.gz" if simulated else "template_whole.nii.gz")
        if template not in references:
            if simulated and not template.is_file():
                simulate_template(arguments.voxel_size, template)
            elif not template.is_file():
                prepare_template(arguments.template, arguments.voxel_size, template)
            references[template] = Reference(template)
        raw = arguments.heads / f"{row['name']}.nii.gz"
        corrected, affine = (arguments.work / f"{row['name']}{end}" for end in ("_n4.nii.gz", "_mat.mat"))
        if not Path(row["registered"]).is_file():
            levels = COARSE if arguments.voxel_size >= 4 and not simulated else Levels()
            with record_faults(corrected, row["registered"], affine):
                preprocess(raw, template, corrected, row["registered"], affine, levels)
        start = time.process_time()
        # the noise, which decides nothing, is measured in the corrected image too: the raw one may be finer
        files = {"raw": corrected, "corrected": corrected, "registered": row["registered"], "affine": affine}
        found = measure_image(references[template], files)
        names = {"image_id": row["name"], "participant_id": row["name"], "session_id": None}
        measured.append({**names, "fault": None, **found, "seconds": time.process_time() - start})
    return pandas.DataFrame(measured)


def preprocess(
    raw: Path, template: Path, corrected: Path, registered: str, affine: Path, levels: Levels
) -> None:
    """Correct and register one head as the study does."""
    correct_bias(
        raw,
        corrected,
        spline_distance_mm=600,
        iterations=[50] * 4,
        padding="coarse",
        threads=1,
    )
    register_to_template(corrected, template, registered, affine, seed=1, levels=levels)


def count_errors(rows: pandas.DataFrame, name: str) -> dict[str, dict[str, Any]]:
    """Count false passes and false rejections by set and kind, print and return them."""
    counts = {}
    print(f"\n{name}: false passes, false rejections (95 % interval of the rate)")
    for (group, kind), part in rows.groupby(["set", "kind"]):
        bad, good = part[part["verdict"] == "exclude"], part[part["verdict"] == "keep"]
        passed, refused = bad[bad["status"] == "passed"], good[good["status"] == "failed"]
        counts[f"{group} {kind}"] = {
            "false_passes": [len(passed), len(bad), *interval(len(passed), len(bad))],
            "false_rejections": [len(refused), len(good), *interval(len(refused), len(good))],
        }
        texts = [
            "{} of {} ({:.0%} to {:.0%})".format(*values) for values in counts[f"{group} {kind}"].values()
        ]
        print(
            f"{group} {kind:10} {texts[0]:28} {texts[1]:28}",
            *passed["name"],
            *(refused["name"] + ":" + refused["reason"]),
        )
    return counts


def interval(count: int, total: int) -> tuple[float, float]:
    """Give the Clopper-Pearson interval of a rate; the whole range where there is nothing."""
    from scipy.stats import beta

    low = beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


if __name__ == "__main__":
    run_benchmark(main)
