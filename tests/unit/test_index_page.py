import base64
import html
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import jinja2
import made_up_study
import pandas
import pytest
from figure_checks import FILES, saved
from headless_browser import Browser, find_chromium

from rhvae_mri.figures.panels import draw_reliability
from rhvae_mri.figures.registry import FIGURES
from rhvae_mri.figures.training import draw_losses
from rhvae_mri.io.files import write_text, write_tsv
from rhvae_mri.pages.index import write_index

needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="there is no `chromium` on the PATH")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A results folder with two figures, a few tables and an audit, and its index."""
    results = tmp_path_factory.mktemp("study") / "results"
    grid = made_up_study.conditions((20,), ("train-8",), False)
    folder = results / "figures"
    curves, losses = made_up_study.reliability_curves(grid), [made_up_study.rhvae_history(30)]
    for name, draw, source, arguments in (
        ("reliability_baseline", draw_reliability, curves, {"architecture": "baseline"}),
        ("losses", draw_losses, losses, {"models": [("train-8", "AD")]}),
        ("own_invention", draw_losses, losses, {"models": [("train-8", "CN")]}),
    ):
        saved(folder, draw, source, **arguments, simulated=True)
        for kind in FILES.values():
            (folder / f"figure.{kind}").rename(folder / f"{name}.{kind}")
    texts = {
        "tables/classification.html": "<!DOCTYPE html><title>t</title>",
        "tables/classification.tsv": "a\n1\n",
        "report/methods.html": "<!DOCTYPE html><title>m</title>",
        "audit/cohort-ADNI/index.html": "<!DOCTYPE html><title>a</title>",
        "split/leakage.json": "{}",
        "provenance/software.json": "{}",
        "conversion/cohort-ADNI/tables.tsv": "a\n1\n",
    }
    for name, text in texts.items():
        write_text(results / name, text)
    table = made_up_study.confusions(grid).assign(verdict=["reproduced"] * 11 + ["<not> comparable"])
    table = table.assign(level_percent=5.0, margin_percent=5.0, p_equivalence_holm=[0.01] * 3 + [0.5] * 9)
    table["p_difference_holm"] = [0.04] * 2 + [0.06] * 9 + [None]
    write_tsv(results / "tables" / "published.tsv", table)
    flags = {
        "generator": ["ppca", "rhvae"],
        "training_set": ["train-8"] * 2,
        "flags": [None, "AD: covers <none>"],
    }
    names = {"architecture": "baseline", "training_data": "augmented", "n_synthetic": 90}
    names |= {"resolution": "downsampled", "test_cohort": "ADNI", "metric": "balanced_accuracy"}
    numbers = {"mean_percent": 77.8, "reference_mean_percent": 74.3, "difference_percent": 3.5}
    numbers |= {"low_percent": -3.4, "high_percent": 10.1, "p_value": 0.3}
    numbers["interval_leaves_out"] = "other models of the generator"
    of_roles = {"role": ["secondary", "primary"], "reference": ["real", "real_steps"]}
    comparisons = pandas.DataFrame(flags | of_roles).assign(**names | numbers)
    write_tsv(results / "tables" / "comparisons.tsv", comparisons)
    files = [path for path in results.rglob("*") if path.is_file() and "audit" not in path.parts]
    files += [results / "audit" / "cohort-ADNI", results.parent / "elsewhere.css"]
    write_index(results / "index.html", files, title="A <study>", simulated=True)
    return results


@pytest.fixture(scope="module")
def page(study):
    return (study / "index.html").read_text()


def test_the_page_says_of_which_images_a_gain_is_doubtful(page):
    assert "A gain by these synthetic images is doubtful:" in page
    assert "<li>rhvae on train-8: AD: covers &lt;none&gt;</li>" in page
    assert "ppca on" not in page


def test_the_page_begins_with_the_primary_test(page):
    assert (
        "<p>Balanced accuracy on ADNI, baseline network on train-8, 90 synthetic + real (intervals "
        "leave out other models of the generator):</p>"
    ) in page
    line = "77.8 % against 74.3 %, +3.5 points (−3.4 to +10.1), p 0.300"
    assert f"<li>primary test, against real_steps: {line}</li>" in page
    assert "secondary test" not in page  # of another condition


def test_the_index_leads_to_every_file_and_to_nothing_else(study, page):
    links = set(re.findall(r'href="([^"#]+)"', page))
    assert all((study / link).is_file() for link in links)
    files = {path.relative_to(study).as_posix() for path in study.rglob("*") if path.is_file()}
    assert links == files - {"index.html"}
    assert not re.findall(r'(?:src|href)="(?:https?:|/|\.\.)', page)
    link = '<a href="conversion/cohort-ADNI/tables.tsv">'
    assert f"<dt>What was made of each table of the ADNI download</dt><dd>{link}" in page


def test_a_table_s_page_comes_before_its_other_formats(page):
    links = re.findall(r'href="(tables/classification\.[a-z]+)"', page.split("<h2>Tables</h2>")[1])
    assert links == ["tables/classification.html", "tables/classification.tsv"]


def test_figures_stand_in_the_order_of_the_contents_with_their_captions(page):
    shown = re.findall(r'<figure id="([^"]+)"', page)
    assert shown == ["reliability_baseline", "losses", "own_invention"]
    for entry in (FIGURES["reliability_{architecture}"], FIGURES["losses"]):
        assert html.escape(entry.caption) in page
    assert "<h3>Calibration of the baseline network: predicted and observed AD</h3>" in page
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings[:4] == ["Start here", "Results", "Synthetic images", "Other figures"]


def test_figures_are_inside_the_page(study, page):
    data = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    first = base64.b64decode(data[0])
    assert first == (study / "figures" / "reliability_baseline.svg").read_bytes()
    ElementTree.fromstring(first)


def test_the_index_counts_the_verdicts_and_escapes_texts(page):
    assert re.search(r"<dt>reproduced</dt><dd>11</dd>", page)
    assert "&lt;not&gt; comparable" in page
    assert "<p>At a family-wise level of 5 % (Holm), 2 of the 11 published numbers" in page
    assert "and 3 are equivalent within ±5 points" in page
    assert "A &lt;study&gt;" in page
    assert "<study>" not in page
    assert "Simulated data:" in page


@needs_chromium
def test_the_page_opens_without_errors_or_requests_and_shows_every_image(study):
    with Browser() as browser:
        browser.open(study / "index.html")
        browser.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
        browser.wait_for("[...document.images].every(image => image.complete)")
        widths = browser.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(widths) == 3
        assert min(widths) > 100
        assert browser.messages == []
        assert browser.failures == []
        others = [one for one in browser.requests if not one.startswith(("file:", "data:"))]
        assert others == []
        assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@needs_chromium
def test_the_page_fits_a_telephone_in_the_dark(study):
    with Browser(width=375, height=700) as browser:
        browser.colour_scheme("dark")
        browser.open(study / "index.html")
        assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        # the figures are scrolled, for their texts would be too small to read
        assert browser.evaluate("document.images[0].getBoundingClientRect().width") > 600
        assert browser.messages == []


def test_the_report_describes_the_study_that_was_run(root, load_config):
    template = jinja2.Template((root / "workflow" / "report" / "workflow.rst").read_text())

    def describe(config):
        return template.render(snakemake=SimpleNamespace(config=config))

    simulated, real = load_config(), load_config("paper.yaml")
    assert "Simulated data:" in describe(simulated)
    assert "imulated" not in describe(real)
    assert "ADNI and AIBL" in describe(real)
    assert "trained 20 times" in describe(real)
    real["cohorts"]["AIBL"]["source"] = "none"
    assert "AIBL" not in describe(real)
