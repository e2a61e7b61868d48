"""The audit's page for a large cohort: its size, how long a browser takes to show it, and one image's cost.

The cohort is made up. A few simulated heads are drawn at 1 mm; their pictures stand for those of all images.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import pandas
from reporting import REPOSITORY, Bar, describe_machine, finish, run_benchmark

from rhvae_mri.audit.page import draw_audit
from rhvae_mri.audit.pictures import ImageRecord, draw_image
from rhvae_mri.cohort.listed_values import COLUMNS as LISTED_COLUMNS
from rhvae_mri.quality.definitions import LIMITS, METRICS

sys.path.insert(0, str(REPOSITORY / "tests"))

from headless_browser import Browser, find_chromium

LARGEST_PAGE_MB = 10.0
LONGEST_WAIT_S = 3.0
HEADS = 4
SEED = 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1500, help="preprocessed images of the cohort")
    parser.add_argument("--repetitions", type=int, default=5, help="how often the page is opened")
    parser.add_argument("--json", action="store_true", help="print figures and bars as JSON in the last line")
    parser.add_argument("--keep", type=Path, help="keep the page in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rhvae-mri-benchmark-") as scratch:
        folder = options.keep or Path(scratch, "audit")
        figures = build(folder, options.images, Path(scratch))
        bars = [Bar("index.html in MB", figures["page_mb"], LARGEST_PAGE_MB, "<=")]
        if find_chromium() is None:
            figures["usable_s"] = figures["filter_ms"] = figures["open_image_ms"] = None
            print("Time to a usable page: not measured, there is no `chromium` on the PATH.")
        else:
            figures |= open_page(folder / "index.html", options.repetitions)
            bars.append(Bar("time to a usable page in s", figures["usable_s"], LONGEST_WAIT_S, "<="))
    figures |= {"images": options.images, "machine": describe_machine("numpy", "pillow", "pandas")}
    for name, value in figures.items():
        print(f"{name}: {value}")
    return finish(figures, bars, options.json)


def build(folder: Path, count: int, scratch: Path) -> dict[str, Any]:
    """Write the page of a made-up cohort; give its size, and time and bytes of the pictures of an image."""
    from rhvae_mri.simulate.anatomy import simulate_template

    template = scratch / "template.nii.gz"
    simulate_template(1.0, template)
    drawn, seconds = [], []
    own = scratch / "pictures"
    own.mkdir()
    for number, files in enumerate(make_heads(template, scratch)):
        start = time.process_time()
        drawn.append(draw_image(f"head-{number}", files, own))
        seconds.append(time.process_time() - start)
    images, quality, metrics, provenance = made_up_tables(count)

    def copies(judged: Any, derivatives: Any, pictures: Path, *_: Any) -> Iterator[tuple[str, ImageRecord]]:
        """Give each image that was kept the pictures of one that was drawn."""
        kept = judged["image_id"][judged["status"] == "kept"]
        for position, image_id in enumerate(kept):
            yield image_id, copy_record(drawn[position % HEADS], image_id, own, pictures)

    start = time.perf_counter()
    with mock.patch("rhvae_mri.audit.page._draw_images", copies):
        draw_audit(
            "ADNI",
            images,
            quality,
            metrics,
            {},
            template,
            folder,
            voxel_size=1.0,
            simulated=True,
            files=provenance,
            thresholds={**LIMITS, "pass_probability": 0.5},
            outlier_z=6.0,
            decisions=None,
            listed=pandas.DataFrame(columns=list(LISTED_COLUMNS)),
        )
    bytes_of = [sum((own / name).stat().st_size for name, _, _ in one.pictures.values()) for one in drawn]
    return {
        "page_mb": (folder / "index.html").stat().st_size / 1e6,
        # hard links count as often as they are, as a copy of the folder would
        "folder_mb": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6,
        "write_page_s": time.perf_counter() - start,
        "draw_image_cpu_s": median(seconds),
        "pictures_of_an_image_kb": median(bytes_of) / 1e3,
    }


def make_heads(template: Path, scratch: Path) -> list[dict[str, str]]:
    """Write scans that look like the template with noise and a bias field, and what follows from them."""
    import nibabel
    import numpy

    from rhvae_mri.preprocess.grid import crop_box

    image = nibabel.load(template)
    voxels = image.get_fdata(dtype=numpy.float32)
    generator = numpy.random.default_rng(SEED)
    field = numpy.exp(numpy.linspace(-0.2, 0.2, voxels.shape[0], dtype=numpy.float32))[:, None, None]
    heads = []
    for number in range(HEADS):
        noisy = numpy.abs(voxels + generator.normal(0, 3, voxels.shape).astype(numpy.float32))
        paths = {
            step: scratch / f"{number}_{step}.nii.gz"
            for step in ("raw", "corrected", "registered", "cropped")
        }
        scan = nibabel.Nifti1Image((4 * noisy * field).astype(numpy.int16), image.affine)
        nibabel.save(scan, paths["raw"])
        for step, content in (
            ("corrected", 4 * noisy),
            ("registered", noisy),
            ("cropped", noisy[crop_box(1.0)]),
        ):
            nibabel.save(nibabel.Nifti1Image(content, image.affine), paths[step])
        heads.append({step: str(path) for step, path in paths.items()})
    return heads


def copy_record(record: ImageRecord, image_id: str, drawn: Path, pictures: Path) -> ImageRecord:
    """Give an image the pictures of a drawn one, and the parameters that a workflow writes."""
    names = {}
    for kind, (name, width, height) in record.pictures.items():
        own = f"{image_id}_{kind}.webp"
        os.link(drawn / name, pictures / own)
        names[kind] = (own, width, height)
    versions = {
        f"SoftwarePackages.{package}": "1.2.3" for package in ("rhvae-mri", "python", "antspyx", "numpy")
    }
    parameters = {step: dict(versions) for step in ("corrected", "registered", "cropped")}
    parameters["registered"] |= {f"Registration.Arguments[{place}]": "x" * 8 for place in range(30)}
    parameters["registered"]["RandomSeed"] = parameters["registered"]["Registration.Arguments[3]"] = image_id
    return ImageRecord(names, parameters=parameters, cropped=record.cropped)


def made_up_tables(count: int) -> tuple[Any, Any, Any, Any]:
    """Make the tables of a cohort: for each preprocessed image two that were left out before."""
    import numpy
    import pandas

    generator = numpy.random.default_rng(SEED)
    rows = []
    for number in range(count):
        participant = f"sub-ADNI{number % 60:03d}S{number:04d}"
        for session, reason in (("M000", None), ("M012", "not the first usable visit"), ("M024", None)):
            image_id = f"{participant}_ses-{session}"
            path = f"results/bids/cohort-ADNI/{participant}/ses-{session}/anat/{image_id}_T1w.nii.gz"
            lost = session == "M024"
            rows.append(
                {
                    "image_id": image_id,
                    "participant_id": participant,
                    "session_id": f"ses-{session}",
                    "diagnosis": ("AD", "CN")[number % 2],
                    "site": str(number % 60),
                    "age": round(55 + 35 * generator.random(), 1),
                    "sex": "FM"[number % 3 == 0],
                    "field_strength": (1.5, 3.0)[number % 2],
                    "path": None if lost else path,
                    "status": "excluded" if reason or lost else "kept",
                    "reason": "no image in the download" if lost else reason,
                }
            )
    images = pandas.DataFrame(rows)
    kept = images.loc[images["status"] == "kept", ["image_id", "participant_id", "session_id"]]
    metrics = kept.assign(
        **{metric.name: generator.normal(1, 0.1, count) for metric in METRICS}, fault=None
    ).reset_index(drop=True)
    failed = generator.random(count) < 0.03
    quality = kept.reset_index(drop=True).assign(
        pass_probability=generator.beta(8, 2, count),
        deep_quality="passed",
        flags=numpy.where(failed, "snr 3.1 (robust z -7.2)", None),
        status=numpy.where(failed, "failed", "passed"),
        reason=numpy.where(failed, "similarity 0.312 is below 0.4", None),
    )
    folder = "results/derivatives/cohort-ADNI/sub-ADNI000S0000/ses-M000/anat/"
    provenance = pandas.DataFrame(
        {
            "image_id": image_id,
            "step": step,
            "path": f"{folder}{image_id}_space-MNI152NLin2009cSym_desc-Crop_res-1x1x1_T1w.nii.gz",
            "sha256": generator.bytes(32).hex(),
        }
        for image_id in kept["image_id"]
        for step in ("raw", "desc-N4", "affine", "registered", "cropped")
    )
    return images, quality, metrics, provenance


def open_page(page: Path, repetitions: int) -> dict[str, float]:
    """Open the page in new browsers; give the medians of the times until it is usable, and of two actions."""
    usable, filtered, opened = [], [], []
    for _ in range(repetitions):
        with Browser() as browser:
            start = time.perf_counter()
            browser.open(page)
            browser.wait_for("document.documentElement.dataset.ready")
            browser.evaluate("document.getElementById('sheet').scrollIntoView()")
            browser.wait_for(
                "[...document.querySelectorAll('.card img')].filter((image) => {"
                "const box = image.getBoundingClientRect(); return box.bottom > 0 && box.top < innerHeight;"
                "}).every((image) => image.complete && image.naturalWidth > 0)"
            )
            usable.append(time.perf_counter() - start)
            filtered.append(
                browser.evaluate(
                    "(() => { const search = document.getElementById('search'); search.value = '07';"
                    "const typed = new Event('input', {bubbles: true});"
                    "const start = performance.now(); search.dispatchEvent(typed);"
                    "document.body.offsetHeight; return performance.now() - start; })()"
                )
            )
            opened.append(
                browser.evaluate(
                    "(() => { const start = performance.now(); document.querySelector('.card').click();"
                    "document.body.offsetHeight; return performance.now() - start; })()"
                )
            )
            if browser.messages:
                raise RuntimeError(f"The page's console has {browser.messages}.")
    return {"usable_s": median(usable), "filter_ms": median(filtered), "open_image_ms": median(opened)}


if __name__ == "__main__":
    run_benchmark(main)
