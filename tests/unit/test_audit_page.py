import base64
import hashlib
import html
import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy
import pandas
import pytest
from made_up_audit import CONFIRMED, EXCLUDED, FAILED, FAULTY, N_KEPT, PLANTED, VOXEL_SIZE, embedded
from markupsafe import escape

from rhvae_mri.audit.charts import histogram, intensity_chart, metric_chart
from rhvae_mri.audit.records import collect_values, describe_metrics, robust_positions
from rhvae_mri.cohort.decisions import COLUMNS
from rhvae_mri.cohort.listed_values import COLUMNS as LISTED_COLUMNS
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv, write_text, write_tsv
from rhvae_mri.quality.outliers import flag_outliers


@pytest.fixture(scope="module")
def page(audit):
    return (audit / "index.html").read_text(encoding="utf-8")


def test_the_folder_has_the_page_its_tables_and_the_pictures_it_names(audit, data):
    assert {path.name for path in audit.iterdir()} == {
        "index.html",
        "images",
        "attrition.tsv",
        "intensities.tsv",
    }
    named = {name for pictures in data["images"]["pictures"] for name, _, _ in pictures.values()}
    there = {path.name for path in (audit / "images").iterdir()}
    assert len(named) == 4 * (N_KEPT - 1) + 1  # of the faulty image there is only the scan
    assert named <= there
    assert {"template.webp", "contour.svg", "crop.svg"} <= there


def test_simulated_data_are_called_simulated(cohort, page, tmp_path):
    assert "Simulated data:" in page
    real = cohort.draw(tmp_path / "real", simulated=False)
    assert "Simulated data:" not in (real / "index.html").read_text(encoding="utf-8")


def test_the_policy_forbids_the_network_and_every_script_but_the_pages_own(page):
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "'self' file: data:"
    script = re.search(r"<script>(.*)</script>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert not re.findall(r"https?://(?!www\.w3\.org/)", page)


def test_texts_of_the_tables_are_no_markup(page, data):
    assert "<img src=x" not in page
    assert PLANTED in data["images"]["flags"][FAILED]
    assert escape(PLANTED) in page  # the reason of a decision, in the attrition


def test_worst_images_come_first(data):
    fates = [data["images"]["fate"][image] for image in data["order"]]
    assert fates[:3] == ["failed", "fault", "failed"]
    assert data["order"][:3] == [FAILED, FAULTY, EXCLUDED]
    passed = [image for image in data["order"] if data["images"]["fate"][image] == "passed"]
    scores = [data["images"]["score"][image] for image in passed]
    assert scores == sorted(scores)
    assert fates[-5:].count("passed") == 0


def test_the_probability_of_the_deep_check_is_the_score_where_it_was_run(cohort, tmp_path):
    quality = cohort.quality.assign(pass_probability=numpy.linspace(0.2, 0.9, N_KEPT))
    folder = cohort.draw(tmp_path / "audit", quality=quality)
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "was not run" not in text.split('id="notes"')[0]
    assert "pass probability" in text
    scores = embedded(text)["images"]["score"]
    assert scores[:N_KEPT] == pytest.approx(quality["pass_probability"], rel=1e-4)


def test_without_the_deep_check_the_page_says_so(page):
    assert "The deep quality control was not run" in page


def test_positions_and_fences_agree_with_the_flags(cohort):
    judged = cohort.quality.assign(fate="passed")
    values = collect_values(judged, cohort.metrics)
    positions = robust_positions(values)
    for z in (2.0, 6.0):
        flags = flag_outliers(cohort.metrics, z).fillna("")
        for entry in describe_metrics(values, positions, {}, z):
            if entry["name"] not in positions or entry["name"] in ("snr", "cnr"):  # by field strength
                continue
            low, high = entry["fences"]
            column = values[entry["name"]]
            outside = (column < (-numpy.inf if low is None else low)) | (
                column > (numpy.inf if high is None else high)
            )
            named = flags.map(lambda text, name=entry["name"]: f"{name} " in text)
            assert outside.tolist() == named.tolist(), entry["name"]


def test_any_column_of_numbers_is_a_metric(data):
    names = [metric["name"] for metric in data["metrics"]]
    assert "own_metric" in names
    assert "fault" not in names
    assert data["values"]["own_metric"][FAULTY] is None
    assert data["values"]["own_metric"][5] == 5


def test_the_faulty_image_has_its_reason(data):
    assert data["images"]["fate"][FAULTY] == "fault"
    assert data["images"]["why"][FAULTY] == "N4 failed. The scan is empty."
    assert set(data["images"]["faults"][FAULTY]) == {"corrected", "registered", "cropped"}


def test_several_processes_draw_the_same(cohort, audit, tmp_path):
    again = cohort.draw(tmp_path / "again", threads=2)
    for path in sorted(audit.rglob("*")):
        if path.is_file():
            assert (again / path.relative_to(audit)).read_bytes() == path.read_bytes(), path.name


def test_a_cohort_of_which_no_image_passed_still_has_a_page(cohort, tmp_path):
    quality = cohort.quality.assign(status="failed", reason="deep quality check: 0.1 is below 0.5")
    metrics = cohort.metrics[["image_id", "participant_id", "session_id", "fault"]]
    folder = cohort.draw(tmp_path / "audit", quality=quality, metrics=metrics)
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "No image passed." in text
    assert "No image was measured." in text
    assert read_tsv(folder / "attrition.tsv").iloc[-1]["n_images"] == 0


def test_a_table_with_an_image_twice_stops_the_page_and_leaves_no_folder(cohort, tmp_path):
    with pytest.raises(StudyError, match=f"image {cohort.ids[0]} twice"):
        cohort.draw(tmp_path / "a", metrics=pandas.concat([cohort.metrics, cohort.metrics[:1]]))
    assert not list(tmp_path.iterdir())


SCRIPT = Path(__file__).parents[2] / "workflow/scripts/draw_audit.py"


def test_the_script_reads_names_and_decisions_as_text(cohort, tmp_path):
    exclude = tmp_path / "exclude.tsv"
    rows = [COLUMNS, ("ADNI", " sub-ADNI005 ", "NA", "exclude", "12", "007", "2026-01-31")]
    write_text(exclude, "".join("\t".join(row) + "\n" for row in rows))
    tables = {name: tmp_path / f"{name}.tsv" for name in ("images", "values", "quality", "metrics", "files")}
    quality = cohort.quality.assign(decided_by=None)
    quality.loc[[EXCLUDED, CONFIRMED], "decided_by"] = "007"
    write_tsv(tables["images"], cohort.images)
    write_tsv(tables["quality"], quality)
    cell = ("participants.tsv", "age", "89+", "read", "read as 89", 2, 2, "sub-ADNI005 sub-ADNI006")
    write_tsv(tables["values"], pandas.DataFrame([cell], columns=LISTED_COLUMNS))
    write_tsv(tables["metrics"], cohort.metrics)
    write_tsv(tables["files"], pandas.DataFrame(columns=["image_id", "step", "path", "sha256"]))

    class Input(dict):
        __getattr__ = dict.__getitem__

    params = {
        "voxel_size": VOXEL_SIZE,
        "simulated": True,
        "limits": True,
        "deep_threshold": 0.5,
        "outlier_z": 6.0,
    }
    snakemake = SimpleNamespace(
        input=Input(**tables, **cohort.derivatives, template=cohort.template, exclude=str(exclude)),
        output=SimpleNamespace(page=tmp_path / "page"),
        params=SimpleNamespace(**params),
        wildcards=SimpleNamespace(cohort="ADNI"),
        log=[tmp_path / "audit.log"],
        threads=1,
    )
    runpy.run_path(str(SCRIPT), init_globals={"snakemake": snakemake})
    data = embedded((tmp_path / "page" / "index.html").read_text(encoding="utf-8"))
    (decision,) = data["decisions"]
    assert (decision["participant_id"], decision["session_id"]) == ("sub-ADNI005", None)
    assert (decision["reason"], decision["who"]) == ("12", "007")
    assert data["images"]["decided_by"][EXCLUDED] == "007"
    assert data["cells"]["sub-ADNI006"] == [["participants.tsv", "age", "89+", "read as 89"]]


def test_lists_of_other_cohorts_do_not_touch_the_notes(cohort, tmp_path):
    row = ("sub-1", "ses-M000", "keep", "fine", "A. Rater", "2026-01-31")
    lists = [[], [("AIBL", *row)], [("ADNI", *row)]]
    keys = []
    for number, rows in enumerate(lists):
        decisions = [dict(zip(COLUMNS, each, strict=True)) for each in rows]
        text = (cohort.draw(tmp_path / str(number), decisions=decisions) / "index.html").read_text("utf-8")
        keys.append(embedded(text)["storageKey"])
    assert keys[0] == keys[1] != keys[2]


def test_a_histogram_says_in_words_what_it_shows():
    chart = histogram([1.0, 2.0, 4.0], "a & b", {"threshold": 1.5})
    assert 'aria-label="Histogram of a &amp; b for 3 images: from 1 to 4, median 2; threshold 1.5."' in chart
    assert sum(map(int, re.findall(r"<title>[^<]* to [^<]*: (\d+)</title>", chart))) == 3
    assert "<title>threshold: 1.5</title>" in chart
    assert "<path" in histogram([3.0, 3.0], "constant", {})


def test_charts_follow_the_colours_of_the_page_and_touch_nothing_else_of_it():
    curve = pandas.DataFrame({"intensity": [0, 1], "mean": [0.5, 0.1], "low": [0.0, 0.1], "high": [0.9, 0.2]})
    charts = [
        intensity_chart(curve, "a"),
        histogram([1.0, 4.0], "$\\frac{1}", {"threshold": 2.0, "fence": 3.0}),
    ]
    for chart in charts:
        assert set(re.findall(r"(?:fill|stroke): (#\w+)", chart)) == set()
        assert "<style" not in chart
        assert len(ElementTree.fromstring(chart.replace("xlink:href", "href"))) > 0
    names = [name for chart in charts for name in re.findall(r'id="([^"]*)"', chart)]
    assert len(names) == len(set(names))
    assert "$\\frac{1}</text>" in charts[1]


def test_the_measure_of_one_image_alone_has_its_chart():
    entry = {
        "name": "snr",
        "unit": "",
        "meaning": "",
        "threshold": None,
        "fences": [None, None],
        "median": 3.0,
    }
    assert "<svg" in metric_chart(entry, [3.0])["svg"]
