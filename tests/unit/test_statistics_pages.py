from functools import partial

import pandas
import pytest
from made_up_runs import write_predictions
from markup import Page, compiles

from rhvae_mri.pages.results import (
    comparison_sheets,
    replication_sheets,
    write_comparisons,
    write_replication,
)
from rhvae_mri.statistics.comparisons import compare_conditions
from rhvae_mri.statistics.conditions import list_doubts
from rhvae_mri.statistics.estimates import estimate_performance
from rhvae_mri.statistics.predictions import read_predictions
from rhvae_mri.statistics.published import read_published
from rhvae_mri.statistics.replication import compare_with_published, overall_statement


@pytest.fixture(scope="module")
def tables(tmp_path_factory, root):
    files = write_predictions(tmp_path_factory.mktemp("predictions"))
    sets = [each for each in read_predictions(files) if each.set == "test"]
    estimates = estimate_performance(sets, 200, 0.95, 1)
    published = read_published(root / "resources/published_results.tsv")
    primary = {"architecture": "baseline", "training_set": "train-50", "training_data": "augmented"}
    primary |= {"generator": "rhvae", "n_synthetic": 500, "resolution": "downsampled"}
    primary |= {"reference": "real", "test_cohort": "ADNI", "metric": "balanced_accuracy"}
    options = {"confidence": 0.95, "n_permutations": 99, "seed": 1, "primary": primary}
    comparisons = compare_conditions(sets, estimates.resampled, published, **options)
    replication = compare_with_published(
        estimates.table, published, margin=5, confidence=0.95, minimum_runs=2, departures=[]
    )
    return comparisons, replication


def test_the_primary_comparison_comes_first(tables):
    sheets = comparison_sheets(tables[0], "ADNI")
    assert sheets[0].heading == "Primary test"
    assert sheets[0].caption == "Balanced accuracy on ADNI, in percent."
    assert [row[0] for row in sheets[0].rows] == ["baseline, train-50, 500 synthetic + real"]
    assert sheets[1].heading == "Balanced accuracy on ADNI"
    assert sheets[1].caption.endswith("7 secondary tests.")
    assert len({sheet.heading for sheet in sheets}) == 9
    assert sum(len(sheet.rows) for sheet in sheets) == len(tables[0])
    assert sheets[1].rows[-1][0] == "optimized, train-full, 500 synthetic + real"
    without = comparison_sheets(tables[0].assign(role="secondary"), "ADNI")
    assert len(without) == 8
    assert len(without[0].rows) == 8


def test_a_note_says_what_the_intervals_leave_out(tables, tmp_path):
    for given, note in (
        (tables[0], "leave out: other models of the generator, other draws of train-50."),
        (tables[0].assign(interval_leaves_out=None), "hold for this split of the cohort."),
    ):
        write_comparisons(given, tmp_path / "t.html", title="T", simulated=True, training_cohort="ADNI")
        assert note in (tmp_path / "t.html").read_text()


def test_with_several_generators_a_column_says_against_what(tables, tmp_path):
    one = tables[0].assign(role="secondary")
    other = one.assign(generator="vae")
    table = pandas.concat([one, other, other.assign(reference="rhvae")])
    sheet = comparison_sheets(table, "ADNI")[0]
    assert sheet.columns[:4] == ("Condition", "Against", "Mean", "Reference")
    assert sheet.caption.startswith("Conditions against real images alone, generators against each other, in")
    names = "optimized, train-full, 500 synthetic + real"
    last = [row[:2] for row in sheet.rows[7::8]]
    assert last == [(f"{names} (rhvae)", "real"), (f"{names} (vae)", "real"), (f"{names} (vae)", "rhvae")]
    # the first generator may have no rows of its own, where there are no real images
    assert comparison_sheets(table[table["reference"] == "rhvae"], "ADNI")[0].columns[1] == "Against"
    for given, is_named in ((table, True), (one, False), (other, False)):
        write_comparisons(given, tmp_path / "t.html", title="T", simulated=True, training_cohort="ADNI")
        html = (tmp_path / "t.html").read_text()
        assert ("Generators are compared with each other too" in html) == is_named
        assert ("Against" in html) == ("rhvae" in html) == ("(vae)" in html) == is_named
    assert comparison_sheets(other, "ADNI")[0].columns[:3] == ("Condition", "Mean", "Real")


def test_flags_are_the_first_note_of_both_pages(tables, tmp_path):
    flagged = tables[0].assign(flags="AD: covers none of its training images")
    write_comparisons(flagged, tmp_path / "t.html", title="T", simulated=True, training_cohort="ADNI")
    doubts = list_doubts(flagged)
    assert doubts[0] == "rhvae on train-50: AD: covers none of its training images"
    page = (tmp_path / "t.html").read_text()
    assert page.index("A gain by these synthetic images is doubtful: rhvae on train-50") < page.index(
        "is compared"
    )
    write_comparisons(tables[0], tmp_path / "t.html", title="T", simulated=True, training_cohort="ADNI")
    assert "doubtful" not in (tmp_path / "t.html").read_text()


def test_every_published_number_has_its_row_with_verdict_and_reason(tables):
    counts, *panels = replication_sheets(tables[1])
    assert sum(int(count) for _, count in counts.rows) == 168
    assert [len(sheet.rows) for sheet in panels] == [84, 84]
    reasons = [row[9] for sheet in panels for row in sheet.rows]
    assert all(reasons)
    judged = [row for sheet in panels for row in sheet.rows if row[1].endswith("balanced accuracy")]
    assert {row[7] for row in judged} <= {"reproduced", "not reproduced", "inconclusive", "not run"}
    assert counts.caption == f"Of 168 published numbers. {overall_statement(tables[1])}"
    not_run = [row for sheet in panels for row in sheet.rows if row[7] == "not run"]
    assert len(not_run) == 168 - 2 * 2 * 2 * 6  # real and one of six sizes were run
    assert not_run[0][4:7] == ("n/a",) * 3
    assert not_run[0][8] == "n/a"
    assert not_run[0][10:] == ("n/a",) * 7


def test_the_pages_can_be_written_in_every_format(tables, tmp_path):
    for sheets, write, table in (
        (comparison_sheets(tables[0], "ADNI"), partial(write_comparisons, training_cohort="ADNI"), tables[0]),
        (replication_sheets(tables[1]), write_replication, tables[1]),
    ):
        write(table, tmp_path / "page.html", title="Results", simulated=True)
        html = (tmp_path / "page.html").read_text()
        assert "nan" not in html.lower()
        assert len(Page(html).rows) == sum(len(sheet.rows) + 1 for sheet in sheets)
        assert compiles((tmp_path / "page.tex").read_text())
