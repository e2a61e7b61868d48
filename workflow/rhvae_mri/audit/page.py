"""The audit of a cohort: a folder with a page and pictures that opens without a server or a network."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pandas
from tqdm import tqdm

from rhvae_mri.audit.charts import intensity_chart, metric_chart, number
from rhvae_mri.audit.cohort_pictures import SD_COLOURS, CutMoments, draw_classes, intensity_curves
from rhvae_mri.audit.pictures import (
    FIELD_COLOURS,
    FIELD_LIMIT,
    ImageRecord,
    colour_table,
    contour_svg,
    crop_svg,
    draw_image,
    grey_cuts,
    save_cuts,
)
from rhvae_mri.audit.records import DEEP_SCORE, collect_values, describe_metrics, page_data, robust_positions
from rhvae_mri.cohort.attrition import (
    PASSED,
    UNKNOWN,
    attrition_flow,
    attrition_table,
    diagnoses_of,
    judge_images,
)
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_folder, write_text, write_tsv
from rhvae_mri.pages.templates import html_page
from rhvae_mri.preprocess.images import derivative_table, read_image

_STYLE = Path(__file__).parents[2] / "style"
STYLE_SHEET = _STYLE / "audit.css"
SCRIPT = _STYLE / "audit.js"

#: Where the pictures are, beside the page.
PICTURES = "images"

# images that one process takes at a time
_IMAGES_AT_ONCE = 4

# colours of a scale in the page
_N_COLOURS = 12


def draw_audit(
    cohort: str,
    images: pandas.DataFrame,
    quality: pandas.DataFrame,
    metrics: pandas.DataFrame,
    derivatives: Mapping[str, Sequence[str]],
    template: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    voxel_size: float,
    simulated: bool,
    files: pandas.DataFrame,
    thresholds: Mapping[str, float],
    outlier_z: float,
    decisions: Sequence[Mapping[str, str]] | None,
    listed: pandas.DataFrame,
    threads: int = 1,
    progress: bool = True,
) -> None:
    """Write the audit of a cohort: ``index.html``, its pictures and the tables behind it, or nothing.

    ``images``, ``quality``, ``metrics`` (all columns of numbers are shown), ``files`` (checksums) and
    ``listed`` (values.tsv) are the cohort's tables; ``derivatives`` has the files of each step (corrected,
    registered, cropped), one for each kept image and named after it, ``thresholds`` the lowest accepted value
    of metrics. ``decisions`` are the rows that the study was run with, as in `cohort.decisions.COLUMNS`: the
    page exports them with the new ones; without them, it exports those that quality.tsv has. A bad image is
    no error, its row has the reason.
    """
    for name, table in {"images": images, "quality control": quality, "metrics": metrics}.items():
        if len(twice := table["image_id"][table["image_id"].duplicated()]):
            raise StudyError(f"The table of {name} has the image {twice.iloc[0]} twice.")
    judged = judge_images(images, quality, metrics)
    flow = attrition_flow(judged)
    values = collect_values(judged, metrics)
    positions = robust_positions(values, judged.get("field_strength"))
    described = describe_metrics(values, positions, thresholds, outlier_z)
    with atomic_folder(target) as folder:
        pictures = folder / PICTURES
        pictures.mkdir()
        size = _draw_template(template, voxel_size, pictures)
        passed = judged[judged["fate"] == PASSED].set_index("image_id")["diagnosis"].fillna(UNKNOWN).to_dict()
        records: dict[str, ImageRecord] = {}
        moments = {name: CutMoments() for name in sorted(set(passed.values()))}
        ranges, histograms = [], []
        for image_id, record in _draw_images(judged, derivatives, pictures, threads, progress):
            if image_id in passed and record.cropped is not None:
                moments[passed[image_id]].add(record.cropped.cuts)
                ranges.append(record.cropped.range)
                histograms.append(record.cropped.histogram)
            # the cuts of a whole cohort would fill the memory
            record.cropped = None
            records[image_id] = record
        classes, sd_limit = draw_classes({name: own for name, own in moments.items() if own.count}, pictures)
        write_tsv(folder / "attrition.tsv", attrition_table(flow, judged))
        content = _charts(values, described) | {
            "flow": flow,
            "diagnoses": diagnoses_of(flow),
            "classes": classes,
            "sd_colours": colour_table(SD_COLOURS, _N_COLOURS),
            "sd_ends": ["0", number(sd_limit / 2), number(sd_limit)],
            "field_colours": colour_table(FIELD_COLOURS, _N_COLOURS),
            "field_limit": FIELD_LIMIT,
            "voxel_size": voxel_size,
            "intensity_charts": None,
        }
        if ranges:
            curves = intensity_curves(ranges, histograms)
            write_tsv(folder / "intensities.tsv", curves)
            content["intensity_charts"] = {
                rescaled: intensity_chart(curves[curves["rescaled"] == rescaled], label)
                for rescaled, label in (("before", "intensity"), ("after", "rescaled intensity"))
            }
        content["data"] = page_data(
            cohort, judged, values, positions, described, records, flow, files, decisions, size, listed
        )
        write_text(folder / "index.html", _page(f"Audit of {cohort}", content, simulated))


def _draw_template(template: str | os.PathLike[str], voxel_size: float, folder: Path) -> tuple[int, int]:
    """Draw the template, its contours and the crop box; give the size of all registered pictures."""
    voxels, _ = read_image(template)
    write_text(folder / "contour.svg", contour_svg(voxels, voxel_size))
    write_text(folder / "crop.svg", crop_svg(voxels.shape, voxel_size))
    return save_cuts(folder / "template.webp", grey_cuts(voxels))[1:]


def _draw_images(
    judged: pandas.DataFrame,
    derivatives: Mapping[str, Sequence[str]],
    folder: Path,
    threads: int,
    progress: bool,
) -> Iterator[tuple[str, ImageRecord]]:
    """Draw all images that were kept, in their order, with a progress bar."""
    kept = judged[judged["status"] == "kept"].set_index("image_id")["path"]
    paths = {image_id: {"raw": path} for image_id, path in kept.items()}
    for step in ("corrected", "registered", "cropped"):
        for row in derivative_table(derivatives[step]).itertuples():
            if row.image_id in paths:
                paths[row.image_id][step] = row.path
    draw = partial(draw_image, folder=folder)
    with ProcessPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
        draw_all = partial(pool.map, chunksize=_IMAGES_AT_ONCE) if pool else map
        bar = {"desc": "audit", "unit": "image", "mininterval": 5, "disable": not progress}
        records = tqdm(draw_all(draw, paths, paths.values()), total=len(paths), **bar)
        yield from zip(paths, records, strict=True)


def _charts(values: pandas.DataFrame, described: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Draw the distributions of the metrics that any image has."""
    measured = {entry["name"]: entry for entry in described if "median" in entry}
    deep = measured.pop(DEEP_SCORE, None)
    return {
        "deep_chart": deep and metric_chart(deep, values[DEEP_SCORE].dropna(), (0.0, 1.0)),
        "metric_charts": [metric_chart(entry, values[name].dropna()) for name, entry in measured.items()],
    }


def _page(title: str, content: Mapping[str, Any], simulated: bool) -> str:
    """Put the page together. Its policy lets a browser run this one script and load nothing but pictures."""
    script = SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return html_page(
        "audit.html.j2",
        title,
        simulated=simulated,
        style=STYLE_SHEET.read_text(encoding="utf-8"),
        policy=f"default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        script=script,
        **content,
    )
