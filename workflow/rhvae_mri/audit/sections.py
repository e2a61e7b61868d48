"""The sections of the audit's page, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from rhvae_mri.audit.charts import curve_band, histogram, number
from rhvae_mri.audit.cohort_pictures import sd_colours
from rhvae_mri.audit.pictures import FIELD_LIMIT, PICTURES, field_colours
from rhvae_mri.audit.records import DEEP_SCORE
from rhvae_mri.cohort.attrition import FAULT, PASSED, Event, diagnoses_of

if TYPE_CHECKING:
    import pandas

#: Images on a page of the contact sheet.
PER_PAGE = 50

#: Number of colours for diagnoses in the style sheet.
_N_COLOURS = 6


def introduction(judged: pandas.DataFrame) -> str:
    """Sum up what became of the images, and link to the sections."""
    counts = judged["fate"].value_counts()
    n_kept = int((judged["status"] == "kept").sum())
    n_lost = n_kept - int(counts.get(PASSED, 0))
    text = (
        f"{len(judged)} images were promised or found, {n_kept} were kept for preprocessing, "
        f"{int(counts.get(PASSED, 0))} passed the quality control. {n_lost} of the kept images are lost, "
        f"{int(counts.get(FAULT, 0))} of them by a fault in the preprocessing."
    )
    return (
        f"<p>{escape(text)}</p>\n"
        '<nav aria-label="Sections"><a href="#attrition">Attrition</a> <a href="#images">Images</a> '
        '<a href="#cohort">Cohort</a> <a href="#notes">How to read this page</a></nav>\n'
        '<noscript><p class="notice">The images of this page are shown by its script, which this browser '
        "does not run. Attrition and cohort can be read without it.</p></noscript>\n"
    )


def attrition_section(flow: Sequence[Event]) -> str:
    """Draw the flow: a bar for each step, and between them what was lost."""
    diagnoses = diagnoses_of(flow)
    largest = max(len(event.images) for event in flow) or 1
    parts = []
    for place, event in enumerate(flow):
        if event.event == "count":
            parts.append(_count_item(event, diagnoses, largest))
        else:
            parts.append(_loss_item(event, place, diagnoses))
    legend = "".join(
        f'<li><span class="swatch d{position % _N_COLOURS}"></span>{escape(name)}</li>'
        for position, name in enumerate(diagnoses)
    )
    return (
        '<section id="attrition" aria-labelledby="attrition-title">\n'
        '<h2 id="attrition-title">Attrition</h2>\n'
        f'<ul class="legend" aria-label="Diagnoses">{legend}</ul>\n'
        f'<ol class="flow">\n{"".join(parts)}</ol>\n'
        '<p class="quiet">The same as a table: <a href="attrition.tsv">attrition.tsv</a>.</p>\n</section>\n'
    )


def _per_diagnosis(event: Event, diagnoses: Sequence[str]) -> str:
    return ", ".join(
        f"{name} {event.by_diagnosis[name]}" for name in diagnoses if event.by_diagnosis.get(name)
    )


def _count_item(event: Event, diagnoses: Sequence[str], largest: int) -> str:
    bars, start = [], 0.0
    for position, name in enumerate(diagnoses):
        width = 100 * event.by_diagnosis.get(name, 0) / largest
        if width:
            colour = f"d{position % _N_COLOURS}"
            bars.append(f'<rect class="{colour}" x="{start:.2f}" y="0" width="{width:.2f}" height="4"/>')
        start += width
    return (
        f'<li class="step"><div class="step-text"><strong>{len(event.images)}</strong> {escape(event.step)} '
        f'<span class="quiet">of {event.n_participants} participants'
        f"{': ' if event.by_diagnosis else ''}{escape(_per_diagnosis(event, diagnoses))}</span></div>"
        f'<svg class="flow-bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(bars)}</svg></li>\n"
    )


def _loss_item(event: Event, place: int, diagnoses: Sequence[str]) -> str:
    by = ""
    if event.decided_by or event.decided_on:
        signature = ", ".join(filter(None, (event.decided_by, event.decided_on)))
        by = f' <span class="quiet">({escape(signature)})</span>'
    sign = "−" if event.event == "loss" else ""
    return (
        f'<li class="{event.event}"><details data-event="{place}"><summary><strong>{sign}{len(event.images)}'
        f"</strong> {escape(event.reason or '')}{by} "
        f'<span class="quiet">{escape(_per_diagnosis(event, diagnoses))}</span></summary>'
        '<div class="ids"></div></details></li>\n'
    )


def sheet_section() -> str:
    """The frame of the contact sheet; the script fills it."""
    return f"""<section id="images" aria-labelledby="images-title">
<h2 id="images-title">Images</h2>
<form id="filters" class="filters" aria-label="Choose images">
<label>Search an image <input type="search" id="search" autocomplete="off" placeholder="sub-…"></label>
<label>Status <select id="status"></select></label>
<label>Diagnosis <select id="diagnosis"></select></label>
<label>Site <select id="site"></select></label>
<label>Sort by <select id="sort"></select></label>
<fieldset><legend id="range-name">Score</legend>
<label>from <input type="number" id="lowest" step="any" inputmode="decimal"></label>
<label>to <input type="number" id="highest" step="any" inputmode="decimal"></label></fieldset>
<label class="check"><input type="checkbox" id="flagged"> flagged only</label>
<label class="check"><input type="checkbox" id="rated"> decided only</label>
<label class="check"><input type="checkbox" id="contours" checked> template's contour</label>
<button type="reset">Show all again</button>
</form>
<div class="decisions-bar">
<p id="decisions-count" role="status"></p>
<label>Your name <input type="text" id="rater" autocomplete="name"></label>
<button type="button" id="export" class="main">Export exclude.tsv</button>
<p id="message" role="alert"></p>
</div>
<div class="pager"><p id="found" role="status"></p>
<span><button type="button" class="previous-page">Previous page</button>
<label>Page <select class="page-number"></select></label>
<button type="button" class="next-page">Next page</button></span></div>
<div id="sheet" class="sheet" data-per-page="{PER_PAGE}"></div>
<div class="pager"><span><button type="button" class="previous-page">Previous page</button>
<label>Page <select class="page-number"></select></label>
<button type="button" class="next-page">Next page</button></span></div>
</section>
"""


def cohort_section(
    values: pandas.DataFrame,
    described: Sequence[Mapping[str, Any]],
    curves: pandas.DataFrame | None,
    classes: Sequence[Mapping[str, Any]],
) -> str:
    """Show the cohort as a whole: distributions of the metrics, intensities, and the classes' means."""
    parts = [
        '<section id="cohort" aria-labelledby="cohort-title">\n<h2 id="cohort-title">Cohort</h2>\n',
        "<h3>Deep quality control</h3>\n",
    ]
    metrics = {entry["name"]: entry for entry in described}
    deep = values[DEEP_SCORE].dropna().tolist()
    if deep:
        parts.append(f'<div class="charts">{_metric_chart(metrics[DEEP_SCORE], deep, (0.0, 1.0))}</div>\n')
    else:
        parts.append("<p>The deep quality control was not run: no image has a probability.</p>\n")
    parts.append("<h3>Metrics</h3>\n")
    parts.append(
        '<p class="quiet">Dashed lines are thresholds below which an image fails, dotted lines the values '
        "from which it is flagged as an outlier.</p>\n"
    )
    charts = []
    for name, entry in metrics.items():
        numbers = values[name].dropna().tolist()
        if name != DEEP_SCORE and numbers:
            charts.append(_metric_chart(entry, numbers, None))
    parts.append(
        f'<div class="charts">{"".join(charts)}</div>\n' if charts else "<p>No image was measured.</p>\n"
    )
    parts.append("<h3>Intensities of the cropped images that passed</h3>\n")
    if curves is None:
        parts.append("<p>No image passed.</p>\n")
    else:
        figures = []
        for rescaled, label, title in (
            ("before", "intensity", "Before the rescaling"),
            ("after", "rescaled intensity", "After the rescaling of each image to [0, 1]"),
        ):
            part = curves[curves["rescaled"] == rescaled]
            x, mean, low, high = (part[name].tolist() for name in ("intensity", "mean", "low", "high"))
            chart = curve_band(x, mean, low, high, label)
            figures.append(f"<figure>{chart}<figcaption>{title}.</figcaption></figure>")
        parts.append(
            f'<div class="charts wide">{"".join(figures)}</div>\n<p class="quiet">Mean over the images and '
            "the band of the middle 80 %, as the share of an image's voxels in a bin, on a logarithmic axis. "
            'Source: <a href="intensities.tsv">intensities.tsv</a>.</p>\n'
        )
    parts.append("<h3>Mean and standard deviation of each class</h3>\n")
    parts.append(_classes(classes) if classes else "<p>No image passed.</p>\n")
    return "".join([*parts, "</section>\n"])


def _metric_chart(
    entry: Mapping[str, Any], values: Sequence[float], bounds: tuple[float, float] | None
) -> str:
    """Draw the distribution of one metric with its bounds."""
    marks = {}
    if entry.get("threshold") is not None:
        marks["threshold"] = entry["threshold"]
    outliers = {
        f"outliers {side}": value
        for side, value in zip(("below", "above"), entry["fences"], strict=True)
        if value is not None
    }
    # a fence far outside would press the images together
    low, high = min([*values, *marks.values()]), max([*values, *marks.values()])
    margin = 0.25 * (high - low)
    shown = {name: value for name, value in outliers.items() if low - margin <= value <= high + margin}
    name = entry["name"].replace("_", " ")
    unit = f" ({entry['unit']})" if entry["unit"] else ""
    text = f"<strong>{escape(name)}</strong> {escape(entry['meaning'])} Median {number(entry['median'])}."
    text += "".join(f" {key.capitalize()}: {number(value)}." for key, value in {**marks, **outliers}.items())
    chart = histogram(values, f"{name}{unit}", thresholds=marks, fences=shown, bounds=bounds)
    return f"<figure>{chart}<figcaption>{text}</figcaption></figure>"


def _classes(classes: Sequence[Mapping[str, Any]]) -> str:
    figures = []
    for one in classes:
        for kind, what in (("mean", "mean"), ("sd", "standard deviation")):
            if one[kind] is None:
                figures.append("<p>One image has no standard deviation.</p>")
                continue
            name, width, height = one[kind]
            words = f"{one['name']}: {what} of {one['count']} images"
            figures.append(
                f'<figure><img src="{PICTURES}/{escape(name)}" width="{width}" height="{height}" '
                f'loading="lazy" alt="{escape(words)}, axial, coronal and sagittal cut">'
                f"<figcaption>{escape(words)}.</figcaption></figure>"
            )
    limit = classes[0]["sd_limit"]
    return (
        f'<div class="classes">{"".join(figures)}</div>\n'
        f"{_colour_bar(sd_colours(12), 'Standard deviation', ['0', number(limit / 2), number(limit)])}"
        '<p class="quiet">Cropped images that passed, each rescaled to [0, 1]; all classes on one scale.'
        "</p>\n"
    )


def _colour_bar(colours: Any, name: str, ends: Sequence[str]) -> str:
    """Draw a scale of colours with its name and the values at its ends and middle."""
    stops = ", ".join("#{:02x}{:02x}{:02x}".format(*colour) for colour in colours)
    labels = "".join(f"<span>{escape(text)}</span>" for text in ends)
    return (
        f'<div class="colour-bar"><span class="name">{escape(name)}</span><span class="bar" '
        f'style="background: linear-gradient(to right, {stops})"></span><span class="ends">{labels}</span>'
        "</div>\n"
    )


def notes_section(voxel_size: float) -> str:
    """Say how to read the page, and how what was chosen was chosen."""
    notes = [
        "The cuts are axial, coronal and sagittal. Left in an axial or coronal cut is the left of the head, "
        "right in a sagittal cut its front. Registered images are cut in the middle of the template's grid "
        f"({voxel_size:g} mm), scans about the middle of the brain.",
        "Each grey picture runs from its own darkest to its own brightest percentile (1 and 98.5).",
        "Yellow is the outline of the template's head, blue runs along edges inside it. They are the same in "
        "every picture: a head that does not fill them is not where the template is.",
        "Worst first: images with a fault or that failed, then those with the most flags, then by score. The "
        "score is the probability of the deep quality control, or the similarity where that was not run.",
        "The position of a metric is its robust z-score: the distance from the cohort's median in standard "
        "deviations, of which the median absolute deviation is the measure.",
        "The thresholds and the score from which a value is flagged are those of the study's configuration; "
        "its documentation says how they were chosen.",
        "The bias field is the raw over the corrected image, relative to its median in the head. Its colours "
        f"end at 1/{FIELD_LIMIT:g} and {FIELD_LIMIT:g} in every picture, a range that was chosen by eye.",
        "Decisions are kept in this browser until they are exported. Put the exported exclude.tsv in place "
        "of the study's list of decisions (configuration key exclude) and run the workflow again: it has the "
        "decisions of the old list too.",
        "Keys while an image is open: arrows for the next and the previous image, K keep, X exclude, U no "
        "decision, T swaps image and template, C shows the contour, Escape closes.",
    ]
    items = "".join(f"<li>{escape(note)}</li>\n" for note in notes)
    return (
        '<section id="notes" aria-labelledby="notes-title">\n'
        '<h2 id="notes-title">How to read this page</h2>\n'
        f"<ul>\n{items}</ul>\n</section>\n"
    )


def image_dialog() -> str:
    """The frame of the view of one image; the script fills it."""
    bar = _colour_bar(field_colours(12), "Bias field", [f"1/{FIELD_LIMIT:g}", "1", f"{FIELD_LIMIT:g}"])
    return f"""<dialog id="detail" aria-labelledby="detail-title">
<header><h2 id="detail-title"></h2><span id="detail-badge" class="badge"></span>
<span id="detail-place" class="quiet"></span>
<span class="buttons"><button type="button" id="previous">Previous (←)</button>
<button type="button" id="next">Next (→)</button>
<button type="button" id="close">Close (Esc)</button></span></header>
<div class="columns">
<div id="pictures"></div>
<div class="aside">
<form id="rating" aria-label="Your decision">
<fieldset><legend>Your decision</legend>
<label><input type="radio" name="decision" value=""> none (U)</label>
<label><input type="radio" name="decision" value="keep"> keep (K)</label>
<label><input type="radio" name="decision" value="exclude"> exclude (X)</label>
<label class="reason">Reason <input type="text" id="reason" autocomplete="off"></label>
<p id="standing" class="quiet"></p></fieldset></form>
<div id="facts"></div>
</div>
</div>
<template id="field-scale">{bar}</template>
</dialog>
"""
