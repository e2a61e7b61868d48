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
from typing import TYPE_CHECKING, Any

from rhvae_mri.audit.cohort_pictures import CutMoments, draw_classes, intensity_curves
from rhvae_mri.audit.cuts import Layout, brightness_window, cut_sizes, grey, lay_out, save_cuts, take_cuts
from rhvae_mri.audit.pictures import PICTURES, ImageFiles, ImageRecord, contour_svg, crop_svg, draw_image
from rhvae_mri.audit.records import collect_values, describe_metrics, embed, page_data, robust_positions
from rhvae_mri.audit.sections import (
    attrition_section,
    cohort_section,
    image_dialog,
    introduction,
    notes_section,
    sheet_section,
)
from rhvae_mri.cohort.attrition import PASSED, UNKNOWN, attrition_flow, attrition_table, judge_images
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_folder, write_text, write_tsv
from rhvae_mri.pages.templates import html_page
from rhvae_mri.preprocess.images import ImageError, derivative_table, read_image

if TYPE_CHECKING:
    import numpy
    import pandas

_STYLE = Path(__file__).parents[2] / "style"
STYLE_SHEET = _STYLE / "audit.css"
SCRIPT = _STYLE / "audit.js"

_DERIVED = ("corrected", "registered", "cropped")

# images that one process takes at a time
_IMAGES_AT_ONCE = 4


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
    files: pandas.DataFrame | None = None,
    thresholds: Mapping[str, float] | None = None,
    outlier_z: float | None = None,
    decisions: Sequence[Mapping[str, str]] | None = None,
    listed: pandas.DataFrame | None = None,
    threads: int = 1,
    progress: bool = True,
) -> None:
    """Write the audit of a cohort: ``index.html``, its pictures and the tables behind it.

    Parameters
    ----------
    cohort : str
        The cohort's name.
    images, quality, metrics : pandas.DataFrame
        The tables images.tsv, quality.tsv and metrics.tsv of the cohort. All columns of ``metrics`` with
        numbers are shown.
    derivatives : mapping of str to sequence of path
        The files of each step (corrected, registered, cropped), one for each kept image and named after it.
    template : path
        The template, on the study's grid.
    target : path
        The folder to write; it is complete or absent.
    voxel_size : float
        The study's voxel size in mm.
    simulated : bool
        Whether the study's data are simulated; the page then says so.
    files : pandas.DataFrame, optional
        The table of files and checksums (`image_id`, `step`, `path`, `sha256`).
    thresholds : mapping of str to float, optional
        Lowest accepted value of a metric, by name.
    outlier_z : float, optional
        The robust z-score from which a value is flagged.
    decisions : sequence of mapping, optional
        The rows of the list of decisions that the study was run with, with the columns of
        `cohort.exclusions.COLUMNS`; an empty cell is missing. The page exports them with the new decisions;
        without them, it exports those that quality.tsv has.
    listed : pandas.DataFrame, optional
        The table values.tsv of the cohort: cells that were not used as they stand.
    threads : int
        Number of processes that draw.
    progress : bool
        Show a progress bar on standard error.

    Raises
    ------
    StudyError
        If the template cannot be read, or a table lacks a column or names an image twice. A bad image is no
        error: its row has the reason.
    """
    _check_tables(images, quality, metrics)
    judged = judge_images(images, quality, metrics)
    with atomic_folder(target) as folder:
        pictures = folder / PICTURES
        pictures.mkdir()
        layout = draw_template(template, voxel_size, pictures)
        passed = judged[judged["fate"] == PASSED].set_index("image_id")["diagnosis"].fillna(UNKNOWN).to_dict()
        records: dict[str, ImageRecord] = {}
        classes = {name: CutMoments() for name in sorted(set(passed.values()))}
        ranges: list[tuple[float, float]] = []
        histograms: list[numpy.ndarray] = []
        for record in _draw_images(_image_files(judged, derivatives), pictures, threads, progress):
            if record.image_id in passed and record.cropped is not None:
                classes[passed[record.image_id]].add(record.cropped.cuts)
                ranges.append(record.cropped.range)
                histograms.append(record.cropped.histogram)
            # the cuts of a whole cohort would fill the memory
            record.cropped = None
            records[record.image_id] = record
        write_page(
            folder,
            cohort,
            judged,
            metrics,
            records,
            intensity_curves(ranges, histograms) if ranges else None,
            draw_classes({name: moments for name, moments in classes.items() if moments.count}, pictures),
            layout,
            voxel_size=voxel_size,
            simulated=simulated,
            files=files,
            thresholds=thresholds or {},
            outlier_z=outlier_z,
            decisions=decisions,
            listed=listed,
        )


def write_page(
    folder: Path,
    cohort: str,
    judged: pandas.DataFrame,
    metrics: pandas.DataFrame,
    records: Mapping[str, ImageRecord],
    curves: pandas.DataFrame | None,
    classes: Sequence[Mapping[str, Any]],
    layout: Layout,
    *,
    voxel_size: float,
    simulated: bool,
    files: pandas.DataFrame | None,
    thresholds: Mapping[str, float],
    outlier_z: float | None,
    decisions: Sequence[Mapping[str, str]] | None,
    listed: pandas.DataFrame | None,
) -> None:
    """Write the page and its tables, once the pictures are there."""
    flow = attrition_flow(judged)
    values = collect_values(judged, metrics)
    positions = robust_positions(values, judged.get("field_strength"))
    described = describe_metrics(values, positions, thresholds, outlier_z)
    write_tsv(folder / "attrition.tsv", attrition_table(flow, judged))
    if curves is not None:
        write_tsv(folder / "intensities.tsv", curves)
    sections = [
        introduction(judged),
        attrition_section(flow),
        sheet_section(),
        cohort_section(values, described, curves, classes),
        notes_section(voxel_size),
        image_dialog(),
    ]
    size = (layout.width, layout.height)
    data = page_data(
        cohort, judged, values, positions, described, records, flow, files, decisions, size, listed
    )
    write_text(folder / "index.html", _page(f"Audit of {cohort}", "".join(sections), data, simulated))


def _check_tables(images: pandas.DataFrame, quality: pandas.DataFrame, metrics: pandas.DataFrame) -> None:
    """Refuse tables that cannot be put together."""
    needed = {
        "images": (
            images,
            {"image_id", "participant_id", "session_id", "diagnosis", "path", "status", "reason"},
        ),
        "quality control": (quality, {"image_id", "status", "reason"}),
        "metrics": (metrics, {"image_id"}),
    }
    for name, (table, columns) in needed.items():
        missing = sorted(columns - set(table.columns))
        if missing:
            raise StudyError(f"The table of {name} has no column {', '.join(missing)}.")
        twice = table["image_id"][table["image_id"].duplicated()]
        if len(twice):
            raise StudyError(f"The table of {name} has the image {twice.iloc[0]} twice.")


def _image_files(judged: pandas.DataFrame, derivatives: Mapping[str, Sequence[str]]) -> list[ImageFiles]:
    """List the files of each kept image."""
    paths = {
        step: derivative_table(list(derivatives[step])).set_index("image_id")["path"].to_dict()
        for step in _DERIVED
    }
    kept = judged[judged["status"] == "kept"]
    return [
        ImageFiles(row.image_id, row.path, **{step: paths[step].get(row.image_id) for step in _DERIVED})
        for row in kept.itertuples()
    ]


def _draw_images(
    files: Sequence[ImageFiles], folder: Path, threads: int, progress: bool
) -> Iterator[ImageRecord]:
    """Draw all images, in their order, with a progress bar."""
    from tqdm import tqdm

    draw = partial(draw_image, folder=folder)
    with ProcessPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
        drawn = pool.map(draw, files, chunksize=_IMAGES_AT_ONCE) if pool else map(draw, files)
        yield from tqdm(
            drawn, total=len(files), desc="audit", unit="image", mininterval=5, disable=not progress
        )


def draw_template(template: str | os.PathLike[str], voxel_size: float, folder: Path) -> Layout:
    """Draw the template, its contours and the crop box; return the layout of all registered pictures."""
    try:
        voxels, _ = read_image(template)
    except ImageError as error:
        raise StudyError(
            f"The template is unusable: {error.what}", where=template, cause=error.cause
        ) from error
    window = brightness_window(voxels)
    save_cuts(folder / "template.webp", [grey(cut, window) for cut in take_cuts(voxels)])
    write_text(folder / "contour.svg", contour_svg(voxels, voxel_size))
    write_text(folder / "crop.svg", crop_svg(voxels.shape, voxel_size))
    return lay_out(cut_sizes(voxels.shape))


def _page(title: str, body: str, data: Mapping[str, Any], simulated: bool) -> str:
    """Put the page together. Its policy lets a browser run this one script and load nothing but pictures."""
    script = SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    scripts = f'<script type="application/json" id="data">{embed(data)}</script>\n<script>{script}</script>\n'
    return html_page(
        title,
        body + scripts,
        simulated=simulated,
        style=STYLE_SHEET.read_text(encoding="utf-8"),
        policy=policy,
    )
