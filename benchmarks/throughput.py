"""Images per core-hour and peak memory of each stage of the preprocessing, with one and with two threads.

The inputs are a real head at the study's 1 mm and simulated heads at 4 mm. The `threads` and `mem_mb` of the
workflow's rules follow from this table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from reporting import (
    REPOSITORY,
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
STAGES = ("n4", "n4-coarse", "register", "crop", "quality")
SEED = 1

#: The simulated cohort: each participant has one baseline scan, or a follow-up too.
COUNTS = {"AD": 3, "CN": 3}
SIMULATED_MM = 4.0


def main() -> int:
    options = _parse(sys.argv[1:])
    rows = []
    with tempfile.TemporaryDirectory(prefix="rhvae-mri-benchmark-") as scratch:
        sources = _prepare(Path(scratch), options)
        for threads in (1, 2):
            for name, (images, template, voxel_size, repetitions) in sources.items():
                stages = options.stages or [*(["convert"] if name == "simulated 4 mm" else []), *STAGES]
                for stage in stages:
                    rows.append(
                        _measure_stage(
                            stage, name, images, template, voxel_size, repetitions, threads, Path(scratch)
                        )
                    )
                    _print_row(rows[-1])
    figures = {"machine": describe_machine("antspyx", "clinica", "nibabel", "numpy"), "stages": rows}
    return finish(figures, [], options.json)


def run_stage(stage: str, image: str, template: str, voxel_size: str, threads: str, folder: str) -> int:
    """Run one stage on one image, in a process of its own."""
    return run_step(_stages(Path(image), template, float(voxel_size), int(threads), Path(folder))[stage]())


def _stages(
    image: Path, template: str, voxel_size: float, threads: int, folder: Path
) -> dict[str, Callable[[], Callable[[], object]]]:
    """Give for each stage a function that loads what the stage needs and gives the call."""
    corrected, registered, cropped = (folder / f"{name}.nii.gz" for name in ("n4", "registered", "crop"))
    affine = folder / "affine.mat"

    def convert():
        from rhvae_mri.convert.conversion import convert_to_bids

        # here the image is the folder of the download
        return partial(
            convert_to_bids,
            "ADNI",
            image / "images",
            image / "tables",
            folder / "bids",
            folder / "conversion.tsv",
            processes=threads,
        )

    def n4(**settings):
        from rhvae_mri.preprocess.bias_field import correct_bias

        return partial(correct_bias, image, corrected, threads=threads, **settings)

    def register():
        from rhvae_mri.preprocess.registration import register_to_template

        return partial(
            register_to_template, corrected, template, registered, affine, threads=threads, seed=SEED
        )

    def crop():
        from rhvae_mri.preprocess.crop import crop_to_template

        return partial(crop_to_template, registered, cropped, voxel_size)

    def quality():
        import pandas

        from rhvae_mri.quality.metrics import measure_quality

        row = {
            "image_id": "image",
            "participant_id": "sub-1",
            "session_id": None,
            "raw": image,
            "corrected": corrected,
            "registered": registered,
            "affine": affine,
        }
        return partial(measure_quality, pandas.DataFrame([row]), template)

    return {
        "convert": convert,
        "n4": n4,
        "n4-coarse": partial(n4, padding="coarse"),
        "register": register,
        "crop": crop,
        "quality": quality,
    }


def _prepare(scratch: Path, options: argparse.Namespace) -> dict[str, tuple[list[Path], Path, float, int]]:
    """Find or make the inputs: images, template, voxel size and repetitions of each source."""
    from rhvae_mri.simulate.anatomy import simulate_template
    from rhvae_mri.simulate.download import write_download
    from rhvae_mri.simulate.heads import render_scan
    from rhvae_mri.simulate.participants import draw_cohort

    template = options.heads / TEMPLATE
    head = options.heads / f"{options.head}_T1w.nii.gz"
    for path in (template, head):
        if not path.is_file():
            raise StudyError(
                "A real image is not there.", where=path, remedy="Give the folder of the real heads: --heads."
            )
    download = scratch / "download"
    participants = draw_cohort("ADNI", COUNTS, SIMULATED_MM, SEED)
    places = [download / name for name in ("images", "tables", "truth.tsv")]
    write_download(participants, render_scan, SEED, *places, progress=False)
    # the later stages take their images from this conversion, which is not measured
    bids = scratch / "simulated"
    bids.mkdir()
    measure(__file__, ["convert", str(download), "", "0", "1", str(bids)], 1)
    images = sorted(bids.glob("bids/sub-*/ses-*/anat/*_T1w.nii.gz"))
    coarse_template = scratch / "template" / "template.nii.gz"
    coarse_template.parent.mkdir()
    simulate_template(SIMULATED_MM, coarse_template)
    return {
        "simulated 4 mm": (images, coarse_template, SIMULATED_MM, options.repetitions),
        f"{options.head} 1 mm": ([head], template, 1.0, options.real_repetitions),
    }


def _measure_stage(
    stage: str,
    name: str,
    images: list[Path],
    template: Path,
    voxel_size: float,
    repetitions: int,
    threads: int,
    scratch: Path,
) -> dict[str, object]:
    """Measure one stage, each repetition on the next image; the conversion takes all of them at once."""
    costs: list[Cost] = []
    for number in range(repetitions):
        index = number % len(images)
        source = scratch / "download" if stage == "convert" else images[index]
        folder = scratch / f"{name}-{index}".replace(" ", "-")
        folder.mkdir(exist_ok=True)
        arguments = [stage, str(source), str(template), str(voxel_size), str(threads), str(folder)]
        costs.append(measure(__file__, arguments, threads))
    count = len(images) if stage == "convert" else 1
    figures = median_cost(costs)
    return {
        "stage": stage,
        "input": name,
        "threads": threads,
        "repetitions": repetitions,
        "images": count,
        **figures,
        "images_per_core_hour": 3600 * count / (threads * figures["wall_s"]),
        "images_per_processor_hour": 3600 * count / figures["cpu_s"],
    }


def _print_row(row: dict) -> None:
    print(
        f"{row['input']:16} {row['stage']:10} {row['threads']} threads: wall {row['wall_s']:7.2f} s, "
        f"CPU {row['cpu_s']:7.2f} s, {row['memory_mb']:6.0f} MB, "
        f"{row['images_per_core_hour']:7.1f} images per core-hour "
        f"({row['images_per_processor_hour']:.1f} by CPU time)",
        flush=True,
    )


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print all figures as JSON on the last line")
    parser.add_argument("--repetitions", type=int, default=5, help="for the simulated heads (default: 5)")
    parser.add_argument("--real-repetitions", type=int, default=3, help="for the slow real head (default: 3)")
    parser.add_argument(
        "--heads", type=Path, default=REPOSITORY.parent / "shared" / "real", help="folder of the real heads"
    )
    parser.add_argument("--head", default="head_12", metavar="NAME", help="the real head (default: head_12)")
    parser.add_argument("--stages", nargs="+", choices=("convert", *STAGES), help="only these stages")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_benchmark(lambda: run_stage(*sys.argv[2:]) if sys.argv[1:2] == ["step"] else main())
