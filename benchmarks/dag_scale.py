"""The workflow at full size: planning all jobs, finding nothing to do, and a cohort of 10,000 participants.

No image is computed. The published study's 765 + 505 participants have BIDS folders with empty files, and
image tables as `list_images` writes them. For the run without work every output exists, empty, with the
records of a finished study that Snakemake keeps.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from reporting import REPOSITORY, Bar, describe_machine, finish, measure, run_benchmark, run_step

from rhvae_mri.cohort.images import COLUMNS
from rhvae_mri.io.errors import StudyError
from rhvae_mri.study.checks import complete

#: Bounds of the project: seconds, and MB of 1,000,000 bytes.
LONGEST_PLAN_S = 30.0
LARGEST_PLAN_MB = 1500.0
LONGEST_IDLE_RUN_S = 30.0
LONGEST_COHORT_S = 240.0

#: Participants of the published study.
PUBLISHED = {"ADNI": {"AD": 362, "CN": 403}, "AIBL": {"AD": 76, "CN": 429}}
TARGETS = ("all", "random_search")

#: AIBL with 10,000 virtual participants, and an ADNI of the published size beside it, which the split needs.
LARGE = {
    "ADNI": PUBLISHED["ADNI"],
    "AIBL": {"AD": 1500, "CN": 6000, "MCI": 1800, "converters": 500, "without_image": 200},
}
_NO_FAULTS = dict.fromkeys(("truncated_series", "wrong_field_of_view", "motion_noise"), 0)
SEED = 1


#: Snakemake's command line, without the pause of 0.1 s for each job with which it touches files.
_SNAKEMAKE = (
    "from snakemake.executors.touch import Executor; Executor.SLEEPING_TIME = 0; "
    "from snakemake.cli import main; main()"
)


def main() -> int:
    if sys.argv[1:2] == ["step"]:
        step, *arguments = sys.argv[2:]
        return run_step(lambda: _STEPS[step](*map(Path, arguments)))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print figures and bars as JSON in the last line")
    parser.add_argument("--without-cohorts", action="store_true", help="leave out the 10,000 participants")
    parser.add_argument("--repetitions", type=int, default=5, help="how often the study is planned")
    options = parser.parse_args()
    figures: dict[str, Any] = {"targets": " ".join(TARGETS)}
    with tempfile.TemporaryDirectory(prefix="rhvae-mri-benchmark-") as scratch:
        study = Path(scratch, "study")
        write_study(study)
        plans = [run_snakemake(study, "--dry-run", "--quiet", "rules") for _ in range(options.repetitions)]
        jobs = count_jobs(plans[0]["output"])
        figures |= {"jobs": jobs["total"], "plan_s": median_of(plans, "wall_s")}
        figures |= {"plan_mb": max(plan["memory_mb"] for plan in plans)}
        bars = [
            Bar("time of a dry run in s", figures["plan_s"], LONGEST_PLAN_S, "<="),
            Bar("memory of a dry run in MB", figures["plan_mb"], LARGEST_PLAN_MB, "<="),
        ]
        figures |= finish_study(study)
        idle = [run_snakemake(study) for _ in range(options.repetitions)]
        if any("Nothing to be done" not in run["output"] for run in idle):
            raise StudyError("The finished study is not finished.", cause=idle[0]["output"][-2000:])
        figures |= {"idle_s": median_of(idle, "wall_s"), "idle_mb": max(run["memory_mb"] for run in idle)}
        bars.append(Bar("time of a run without work in s", figures["idle_s"], LONGEST_IDLE_RUN_S, "<="))
        if not options.without_cohorts:
            cost = measure(__file__, ["cohorts", str(Path(scratch, "cohorts"))], threads=1)
            figures |= {"cohorts_s": cost.wall_s, "cohorts_mb": cost.memory_mb}
            bars.append(Bar("10,000 participants in s", cost.wall_s, LONGEST_COHORT_S, "<="))
    figures["machine"] = describe_machine("snakemake", "pandas", "numpy")
    for name, value in figures.items():
        print(f"{name}: {value}")
    return finish(figures, bars, options.json)


def write_study(folder: Path) -> None:
    """Write the published study as it stands when its images are listed: BIDS folders and image tables."""
    config = complete(yaml.safe_load((REPOSITORY / "config" / "paper.yaml").read_text(encoding="utf-8")))
    for cohort, counts in PUBLISHED.items():
        bids = folder / "bids" / cohort
        config["cohorts"][cohort] |= {"source": "bids", "bids": f"bids/{cohort}"}
        lines, contents = ["\t".join(COLUMNS)], ["path\tcontent"]
        for diagnosis, count in counts.items():
            for number in range(count):
                name = f"sub-{cohort}{diagnosis}{number:04d}"
                path = bids / name / "ses-M000" / "anat" / f"{name}_ses-M000_T1w.nii.gz"
                path.parent.mkdir(parents=True)
                path.touch()
                cells = [
                    f"{name}_ses-M000",
                    name,
                    "ses-M000",
                    cohort,
                    "70",
                    "F",
                    "1",
                    "3",
                    diagnosis,
                    "28",
                    "0",
                ]
                lines.append("\t".join([*cells, str(path.relative_to(folder)), "kept", "n/a"]))
                contents.append(f"{path.relative_to(folder)}\t{name}")
        table = folder / config["pathvars"]["results"] / "cohorts" / f"cohort-{cohort}" / "images.tsv"
        table.parent.mkdir(parents=True)
        for name, text in (("images", lines), ("image_files", contents), ("values", ["table"])):
            table.with_stem(name).write_text("\n".join(text) + "\n", encoding="utf-8")
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def finish_study(folder: Path) -> dict[str, Any]:
    """Make every output, empty, and have Snakemake record it as finished."""
    summary = run_snakemake(folder, "--summary")["output"].splitlines()
    start = next(number for number, line in enumerate(summary) if line.startswith("output_file\t"))
    outputs = [line.split("\t")[0] for line in summary[start + 1 :] if "\t" in line]
    for name in outputs:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if re.search(r"/audit/cohort-[A-Z]+$", name):  # the outputs that are folders
            path.mkdir(exist_ok=True)
        elif not path.exists():
            path.touch()
    touched = run_snakemake(folder, "--touch", "--forceall", "--quiet", "all")
    return {"outputs": len(outputs), "touch_s": touched["wall_s"]}


def run_snakemake(folder: Path, *options: str) -> dict[str, Any]:
    """Run Snakemake on the study; give its output, its time and the largest memory of its processes."""
    command = [
        *(sys.executable, "-c", _SNAKEMAKE, "--snakefile", str(REPOSITORY / "workflow" / "Snakefile")),
        *("--directory", str(folder), "--configfile", str(folder / "study.yaml"), "--cores", "2"),
        *(*options, "--", *TARGETS),
    ]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise StudyError(f"snakemake {' '.join(options)} failed.", cause=text[-2000:])
    wall = time.perf_counter() - start
    return {
        "output": text,
        "wall_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "memory_mb": usage.ru_maxrss * 1.024e-3,
    }


def count_jobs(output: str) -> dict[str, int]:
    """Read the table of jobs that a dry run prints."""
    return {name: int(count) for name, count in re.findall(r"^([a-z_]+) +(\d+)$", output, re.MULTILINE)}


def median_of(runs: list[dict[str, Any]], key: str) -> float:
    """Return the median of one figure of several runs."""
    return median(run[key] for run in runs)


def make_cohorts(folder: Path) -> None:
    """Draw 10,000 participants, write their study tables, list their images and split them.

    The images are one file under 10,000 names; nothing is rendered.
    """
    from dataclasses import replace

    import pandas

    from rhvae_mri.cohort.images import list_images, read_images, select_usable
    from rhvae_mri.cohort.leakage import check_leakage
    from rhvae_mri.cohort.split import draw_test_cohorts, split_cohort, write_independent
    from rhvae_mri.io.files import write_tsv
    from rhvae_mri.simulate.download import write_download
    from rhvae_mri.simulate.participants import draw_cohort

    config = complete(yaml.safe_load((REPOSITORY / "config" / "paper.yaml").read_text(encoding="utf-8")))
    usable = {}
    for cohort, counts in LARGE.items():
        participants = draw_cohort(cohort, {**counts, **_NO_FAULTS}, 1.0, SEED)
        write_bids(participants, folder / "bids" / cohort)
        unseen = [
            replace(
                person,
                visits=tuple(
                    replace(visit, scans=tuple(replace(scan, on_disk=False) for scan in visit.scans))
                    for visit in person.visits
                ),
            )
            for person in participants
        ]
        places = (folder / cohort / name for name in ("images", "tables", "truth.tsv"))
        write_download(unseen, None, SEED, *places, progress=False)
        table = folder / cohort / "images.tsv"
        list_images(cohort, folder / "bids" / cohort, None, None, table)
        images = read_images(table)
        quality = pandas.DataFrame({"image_id": images["image_id"], "status": "passed"})
        usable[cohort] = select_usable(images, quality)
    settings = {name: value for name, value in config["split"].items() if name != "aibl_per_class"}
    result = split_cohort(usable.pop("ADNI"), seed=SEED, **settings)
    tested = draw_test_cohorts(usable, {}, SEED)
    check_leakage(result.split, {}, tested)
    write_tsv(folder / "split.tsv", result.split)
    write_tsv(folder / "balance.tsv", result.balance)
    write_independent(folder / "independent.tsv", tested)


def write_bids(participants: list[Any], bids: Path) -> None:
    """Write a BIDS dataset of participants, in which all images are links to one small file."""
    import nibabel
    import numpy

    from rhvae_mri.simulate.truth import age_at, session_id

    bids.mkdir(parents=True)
    image = bids / "image.nii.gz"
    nibabel.save(nibabel.Nifti1Image(numpy.zeros((27, 27, 27), numpy.int16), numpy.diag([7, 8, 7, 1])), image)
    rows = ["participant_id\tsex\tsite"]
    for person in participants:
        name = person.participant_id
        rows.append(f"{name}\t{person.sex}\t{person.site}")
        visits = ["session_id\tage\tdiagnosis\tMMSE"]
        for visit in person.visits:
            session = session_id(visit)
            visits.append(f"{session}\t{age_at(person, visit):.1f}\t{visit.diagnosis}\t{visit.mmse}")
            if visit.scans:
                place = bids / name / session / "anat" / f"{name}_{session}_T1w.nii.gz"
                place.parent.mkdir(parents=True)
                os.link(image, place)
        (bids / name).mkdir(exist_ok=True)
        (bids / name / f"{name}_sessions.tsv").write_text("\n".join(visits) + "\n", encoding="utf-8")
    (bids / "participants.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


_STEPS = {"cohorts": make_cohorts}


if __name__ == "__main__":
    run_benchmark(main)
