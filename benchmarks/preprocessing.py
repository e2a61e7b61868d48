"""Our preprocessing beside the same recipe in antspyx' own Python functions, on real heads at 1 mm.

Both sides correct the bias field with N4, register to the whole-head template with an affine transform, and
crop. Each stage runs in a process of its own, and the sides take turns.

antspyx' recipe leaves out the study's winsorizing and double precision. To tell that apart from a fault of
ours, two more registrations run once per head: ours with antspyx' arguments, and ours with another seed,
which shows how far two runs of the study's own recipe agree.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from reporting import (
    REPOSITORY,
    Bar,
    Cost,
    describe_machine,
    finish,
    measure,
    median_cost,
    run_benchmark,
    run_step,
)

from rhvae_mri.io.errors import StudyError

TEMPLATE = "mni152_2009_wholehead_1mm.nii.gz"
STAGES = ("n4", "register", "crop")
SIDES = ("ours", "antspyx")
#: Our registrations that run once, for comparison; they are not part of the timing.
SAME_ARGUMENTS = "ours with antspyx' arguments"
OTHER_SEED = "ours with another seed"
SEED = 1
MINIMUM_CORRELATION = 0.999


def main() -> int:
    options = _parse(sys.argv[1:])
    heads = _find_heads(options.heads, options.head)
    costs: dict[tuple[str, str, str], list[Cost]] = {}
    compared = {}
    with tempfile.TemporaryDirectory(prefix="rhvae-mri-benchmark-") as scratch:
        for repetition in range(options.repetitions):
            for name, head in heads.items():
                # who comes first alternates, so that a drift of the machine meets both
                for side in SIDES if repetition % 2 == 0 else SIDES[::-1]:
                    folder = Path(scratch, name, side)
                    folder.mkdir(parents=True, exist_ok=True)
                    for stage in STAGES:
                        cost = _measure_stage(side, stage, head, folder, options)
                        costs.setdefault((name, side, stage), []).append(cost)
                        print(
                            f"{repetition + 1}/{options.repetitions} {name} {side} {stage}: "
                            f"{cost.wall_s:.1f} s, CPU {cost.cpu_s:.1f} s, {cost.memory_mb:.0f} MB",
                            file=sys.stderr,
                            flush=True,
                        )
                if name not in compared:
                    compared[name] = _compare(Path(scratch, name), head, options)
    stages = {
        name: {side: {stage: median_cost(costs[name, side, stage]) for stage in STAGES} for side in SIDES}
        for name in heads
    }
    totals = {side: _total(costs, heads, side, options.repetitions) for side in SIDES}
    figures = {
        "machine": describe_machine("antspyx", "nibabel", "numpy"),
        "repetitions": options.repetitions,
        "threads": options.threads,
        "padding": options.padding,
        "stages": stages,
        "total_wall_s": totals,
        "compared": compared,
    }
    _print_table(figures)
    bars = [
        Bar(f"correlation of the cropped images, {label}, {name}", values[key], MINIMUM_CORRELATION, ">=")
        for key, label in (
            ("correlation", "ours and antspyx"),
            ("correlation_same_arguments", f"{SAME_ARGUMENTS} and antspyx"),
        )
        for name, values in compared.items()
    ]
    bars.append(
        Bar("wall time of ours and of antspyx, all heads, s", totals["ours"], totals["antspyx"], "<=")
    )
    return finish(figures, bars, options.json)


def _measure_stage(side: str, stage: str, head: Path, folder: Path, options: argparse.Namespace) -> Cost:
    """Run `run_stage` in a process of its own."""
    files = [str(path) for path in (head, options.heads / TEMPLATE, folder)]
    arguments = [side, stage, *files, options.padding, str(options.threads)]
    return measure(__file__, arguments, options.threads)


def run_stage(
    side: str, stage: str, head: str, template: str, folder: str, padding: str, threads: str
) -> int:
    """Run one stage of one side on one head, in a process of its own."""
    corrected, registered, cropped = (
        Path(folder, f"{name}.nii.gz") for name in ("corrected", "registered", "cropped")
    )
    if stage == "crop":
        from rhvae_mri.preprocess.crop import crop_to_template

        return run_step(partial(crop_to_template, registered, cropped, 1.0))
    if side == SAME_ARGUMENTS:
        register = _register_with_antspyx_arguments
        return run_step(partial(register, corrected, template, registered, int(threads)))
    if side == "antspyx":
        import ants

        if stage == "n4":
            return run_step(partial(_antspyx_n4, ants, head, corrected))
        return run_step(partial(_antspyx_register, ants, corrected, template, registered))

    from rhvae_mri.preprocess.bias_field import correct_bias
    from rhvae_mri.preprocess.registration import register_to_template

    if stage == "n4":
        return run_step(partial(correct_bias, head, corrected, padding=padding, threads=int(threads)))
    affine = Path(folder, "affine.mat")
    seed = SEED if side == "ours" else SEED + 1
    register = partial(register_to_template, threads=int(threads), seed=seed)
    return run_step(partial(register, corrected, template, registered, affine))


def _antspyx_n4(ants, head: str, corrected: Path) -> None:
    """The study's N4 by antspyx' own function."""
    image = ants.n4_bias_field_correction(
        ants.image_read(head),
        spline_param=600,
        shrink_factor=4,
        convergence={"iters": [50] * 4, "tol": 0},
    )
    ants.image_write(image, str(corrected))


def _antspyx_register(ants, corrected: Path, template: str, registered: Path) -> None:
    """The study's registration by antspyx' own function, with the seed that ours gets."""
    from rhvae_mri.preprocess.registration import ants_seed

    # with True antspyx refuses this transform; one thread is set by the environment, and this is the seed
    ants.config.set_ants_deterministic(False, ants_seed(SEED))
    with tempfile.TemporaryDirectory(prefix="rhvae-mri-benchmark-") as folder:
        result = ants.registration(
            ants.image_read(template),
            ants.image_read(str(corrected)),
            type_of_transform="antsRegistrationSyNQuick[a]",
            outprefix=f"{folder}/",
        )
        ants.image_write(result["warpedmovout"], str(registered))


def _register_with_antspyx_arguments(corrected: Path, template: str, registered: Path, threads: int) -> None:
    """Our call of antsRegistration, but without winsorizing and in single precision, as antspyx has it."""
    from rhvae_mri.preprocess.ants_library import ants_folder, run_ants
    from rhvae_mri.preprocess.registration import registration_arguments

    arguments = registration_arguments("template.nii.gz", "image.nii.gz", "image_", "warped.nii.gz", SEED)
    position = arguments.index("--winsorize-image-intensities")
    del arguments[position : position + 2]
    arguments[arguments.index("--float") + 1] = "1"
    with ants_folder() as folder:
        # the files as they are: antspyx reads the same ones
        shutil.copyfile(template, folder / "template.nii.gz")
        shutil.copyfile(corrected, folder / "image.nii.gz")
        run_ants("antsRegistration", arguments, folder, threads)
        shutil.copyfile(folder / "warped.nii.gz", registered)


def _compare(folder: Path, head: Path, options: argparse.Namespace) -> dict[str, float]:
    """Compare the images of the sides on one head, after the registrations that only serve that."""
    import nibabel
    import numpy

    def read(side: str, name: str) -> numpy.ndarray:
        return nibabel.load(folder / side / f"{name}.nii.gz").get_fdata().ravel()

    def correlate(*sides: str) -> float:
        return float(numpy.corrcoef(*(read(side, "cropped") for side in sides))[0, 1])

    for side, origin in ((SAME_ARGUMENTS, "antspyx"), (OTHER_SEED, "ours")):
        (folder / side).mkdir()
        (folder / side / "corrected.nii.gz").symlink_to(folder / origin / "corrected.nii.gz")
        for stage in ("register", "crop"):
            _measure_stage(side, stage, head, folder / side, options)
    ours, theirs = (read(side, "corrected") for side in SIDES)
    inside = theirs > 0.1 * numpy.percentile(theirs, 99)
    differences = numpy.abs(ours - theirs)[inside] / theirs[inside]
    return {
        "correlation": correlate("ours", "antspyx"),
        "correlation_same_arguments": correlate(SAME_ARGUMENTS, "antspyx"),
        "correlation_other_seed": correlate("ours", OTHER_SEED),
        "n4_largest_relative_difference": float(differences.max()),
        "n4_median_relative_difference": float(numpy.median(differences)),
    }


def _total(costs, heads, side: str, repetitions: int) -> float:
    """The median over the repetitions of the wall time for all stages of all heads."""
    return median(
        sum(costs[name, side, stage][number].wall_s for name in heads for stage in STAGES)
        for number in range(repetitions)
    )


def _print_table(figures: dict) -> None:
    print(f"{'head':10} {'stage':9} {'side':8} {'wall s':>8} {'call s':>8} {'CPU s':>8} {'peak MB':>8}")
    for name, sides in figures["stages"].items():
        for stage in STAGES:
            for side in SIDES:
                row = sides[side][stage]
                print(
                    f"{name:10} {stage:9} {side:8} {row['wall_s']:8.1f} {row['call_s']:8.1f} "
                    f"{row['cpu_s']:8.1f} {row['memory_mb']:8.0f}"
                )


def _find_heads(folder: Path, names: list[str] | None) -> dict[str, Path]:
    """The heads to take, by name; the template must be there too."""
    if not (folder / TEMPLATE).is_file():
        raise StudyError(
            f"The real heads are not there: {TEMPLATE} is missing.",
            where=folder,
            remedy="Give their folder with --heads; it holds that template and files head_*_T1w.nii.gz.",
        )
    found = {path.name.removesuffix("_T1w.nii.gz"): path for path in sorted(folder.glob("*_T1w.nii.gz"))}
    missing = sorted(set(names or []) - set(found))
    if missing or not found:
        raise StudyError(
            f"There is no head {', '.join(missing)}." if missing else "There are no heads.",
            where=folder,
            remedy=f"Choose among {', '.join(found)}." if found else None,
        )
    return {name: found[name] for name in names or found}


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print all figures as JSON on the last line")
    parser.add_argument("--repetitions", type=int, default=5, help="times each side runs (default: 5)")
    parser.add_argument(
        "--heads", type=Path, default=REPOSITORY.parent / "shared" / "real", help="folder of the real heads"
    )
    parser.add_argument("--head", nargs="+", metavar="NAME", help="only these, such as head_01")
    parser.add_argument("--threads", type=int, choices=(1, 2), default=1, help="threads of ITK (default: 1)")
    parser.add_argument(
        "--padding",
        choices=("ants", "coarse"),
        default="coarse",
        help="padding of our N4; coarse, the default, is that of config/paper.yaml",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_benchmark(lambda: run_stage(*sys.argv[2:]) if sys.argv[1:2] == ["step"] else main())
