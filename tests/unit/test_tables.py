import re
from pathlib import Path

import numpy
import pandas
import pytest
from markup import Page, compiles

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_tsv
from rhvae_mri.pages.results import paper_layout, write_classification
from rhvae_mri.statistics.published import read_published
from rhvae_mri.statistics.tables import classification_table, sizes_of_test_sets

PUBLISHED = Path(__file__).parents[2] / "resources" / "published_results.tsv"
COLUMNS = [
    *("architecture", "training_set", "training_data", "generator", "n_synthetic", "resolution"),
    *(
        "test_cohort",
        "metric",
        "mean_percent",
        "sd_percent",
        "n_seeds",
        "published_mean_percent",
        "published_sd_percent",
    ),
]
SHOWN = ("sensitivity", "specificity", "balanced_accuracy")


def make_runs(
    sizes=(500, 1000, 2000, 3000, 5000, 10000),
    training_sets=("train-50", "train-full"),
    n_seeds=3,
    classic=False,
    generators=("rhvae",),
):
    """Make runs of the whole grid of conditions."""
    random = numpy.random.default_rng(0)
    data = [("real", "none", 0, "full"), ("real", "none", 0, "downsampled")]
    data += [
        (kind, generator, size, "downsampled")
        for kind in ("synthetic", "augmented")
        for generator in generators
        for size in sizes
    ]
    data += [("classic", "none", 0, "downsampled")] if classic else []
    rows = [
        (architecture, training_set, *one, seed, cohort, part, metric, 100 * random.random(), 7, 8)
        for architecture in ("baseline", "optimized")
        for training_set in training_sets
        for one in data
        for seed in range(n_seeds)
        for cohort, part in (("ADNI", "validation"), ("ADNI", "test"), ("AIBL", "test"))
        for metric in (*SHOWN, "auc")
    ]
    return pandas.DataFrame(
        rows, columns=[*COLUMNS[:6], "seed", "test_cohort", "set", "metric", "value_percent", "n_AD", "n_CN"]
    )


@pytest.fixture(scope="module")
def published():
    return read_published(PUBLISHED)


def test_the_published_numbers_are_complete_and_consistent(published):
    assert len(published) == 168
    wide = published.pivot_table(
        index=["architecture", "training_set", "n_synthetic", "test_cohort"],
        columns="metric",
        values="published_mean_percent",
    )
    difference = (wide["sensitivity"] + wide["specificity"]) / 2 - wide["balanced_accuracy"]
    assert len(wide) == 56
    assert difference.abs().max() < 0.1


def test_the_published_numbers_are_those_of_the_shared_table(published):
    original = PUBLISHED.parents[2] / "shared" / "published_results.tsv"
    if not original.is_file():
        pytest.skip("the shared documents are not beside this checkout")
    assert PUBLISHED.read_bytes() == original.read_bytes()


def test_all_168_published_numbers_stand_beside_the_right_conditions(published):
    table = classification_table(make_runs(), published)
    assert list(table.columns) == COLUMNS
    beside = table[table["published_mean_percent"].notna()]
    assert len(beside) == 168
    assert set(beside["resolution"]) == {"downsampled"}
    columns, key = list(published.columns), [name for name in COLUMNS[:8] if name != "resolution"]
    expected = published.sort_values(key, ignore_index=True)
    pandas.testing.assert_frame_equal(beside[columns].sort_values(key, ignore_index=True), expected)


def test_conditions_that_were_not_published_have_no_published_value(published, tmp_path):
    table = classification_table(make_runs(sizes=(16,), training_sets=("train-8", "train-full")), published)
    with_value = table[table["published_mean_percent"].notna()]
    assert set(with_value["training_set"]) == {"train-full"}
    assert set(with_value["training_data"]) == {"real"}
    assert len(with_value) == 2 * 2 * 3
    assert "auc" in set(table["metric"])
    write_tsv(tmp_path / "table.tsv", table)
    assert "\tn/a\tn/a\n" in (tmp_path / "table.tsv").read_text()


def test_published_values_are_of_real_images_and_of_the_rhvae_only(published, tmp_path):
    generators = published.groupby("training_data")["generator"].unique().map(list)
    assert generators.to_dict() == {"real": ["none"], "augmented": ["rhvae"]}
    table = classification_table(make_runs(generators=("vae", "rhvae"), n_seeds=1), published)
    beside = table[table["published_mean_percent"].notna()]
    assert len(beside) == 168
    assert set(beside["generator"]) == {"none", "rhvae"}


def test_labels_name_generators_where_there_are_several(tmp_path, published):
    for generators, ends in ((("rhvae", "vae"), (" (rhvae)", " (vae)")), (("vae",), ("",))):
        runs = make_runs(sizes=(500,), training_sets=("train-full",), generators=generators)
        labels = [row[0] for row in Page(render(tmp_path, classification_table(runs, published))[0]).rows]
        expected = ["real (high resolution)", "real", *(f"500 synthetic{end}" for end in ends)]
        expected += [f"500 synthetic + real{end}" for end in ends]
        assert [label for label in labels if "real" in label or "500" in label] == expected * 2


def test_classic_augmentation_stands_after_real_images_with_nothing_published_beside_it(tmp_path, published):
    table = classification_table(
        make_runs(sizes=(500,), training_sets=("train-full",), classic=True), published
    )
    assert table["published_mean_percent"][table["training_data"] == "classic"].isna().all()
    labels = [row[0] for row in Page(render(tmp_path, table)[0]).rows if len(row) == 8]
    names = ["real (high resolution)", "real", "real, classic augmentation", "500 synthetic"]
    assert labels == [*names, "500 synthetic + real"] * 2


def test_means_and_sample_deviations_are_over_all_seeds_of_the_test_set(published):
    runs = make_runs(sizes=(500,), n_seeds=4)
    table = classification_table(runs, published)
    assert len(table) == 2 * 2 * 4 * 2 * 4
    assert set(table["n_seeds"]) == {4}
    row = table[(table["training_data"] == "augmented") & (table["test_cohort"] == "ADNI")].iloc[2]
    values = [
        run.value_percent
        for run in runs.itertuples()
        if run.set == "test" and all(getattr(run, name) == row[name] for name in COLUMNS[:8])
    ]
    mean = sum(values) / 4
    assert row["mean_percent"] == pytest.approx(mean, abs=1e-4)
    assert row["sd_percent"] == pytest.approx(
        (sum((value - mean) ** 2 for value in values) / 3) ** 0.5, abs=1e-4
    )


def test_one_seed_has_no_deviation_and_a_nan_is_not_averaged_away(published):
    runs = make_runs(sizes=(500,), n_seeds=1)
    assert classification_table(runs, published)["sd_percent"].isna().all()
    runs = make_runs(sizes=(500,), n_seeds=2)
    gone = (runs["metric"] == "auc") & (runs["seed"] == 1)
    table = classification_table(runs.assign(value_percent=runs["value_percent"].mask(gone)), published)
    assert table.loc[table["metric"] == "auc", "mean_percent"].isna().all()
    assert table.loc[table["metric"] != "auc", "mean_percent"].notna().all()


def test_bad_tables_are_refused(published, tmp_path):
    runs = make_runs(sizes=(500,), n_seeds=1)
    with pytest.raises(StudyError, match="No run was evaluated on a test set"):
        classification_table(runs[runs["set"] == "validation"], published)
    with pytest.raises(StudyError, match="occurs more than once: baseline network"):
        classification_table(pandas.concat([runs, runs]), published)
    original = pandas.read_csv(PUBLISHED, sep="\t")
    for spoilt, message in (
        (original.drop(columns="metric"), "lacks the columns metric"),
        (
            pandas.concat([original, original.tail(1)]),
            "occurs twice: optimized, train-full, augmented, 10000",
        ),
        (original.assign(mean_percent=101), "mean_percent has cells that are not percentages"),
    ):
        write_tsv(tmp_path / "published.tsv", spoilt)
        with pytest.raises(StudyError, match=message):
            read_published(tmp_path / "published.tsv")


def test_the_sizes_of_the_test_sets_are_told():
    assert sizes_of_test_sets(make_runs(sizes=(500,), n_seeds=1)) == {
        "ADNI test set": "7 AD and 8 CN participants",
        "AIBL test set": "7 AD and 8 CN participants",
    }


def render(tmp_path, table, **changes):
    options = {"simulated": True, "title": "Results", "made": {"seeds": "0, 1"}} | changes
    write_classification(table, tmp_path / "table.tsv", **options)
    return [(tmp_path / f"table.{kind}").read_text(encoding="utf-8") for kind in ("html", "md")]


def test_the_page_and_the_markdown_have_the_paper_s_layout(tmp_path, published):
    table = classification_table(make_runs(), published)
    html, markdown = render(tmp_path, table, simulated=False)
    page = Page(html)
    assert [tag for tag, _ in page.tags].count("table") == 2
    labels = [row[0] for row in page.rows if len(row) == 8]
    sizes = ("500", "1,000", "2,000", "3,000", "5,000", "10,000")
    expected = ["real (high resolution)", "real", *(f"{size} synthetic" for size in sizes)]
    expected += [f"{size} synthetic + real" for size in sizes]
    assert labels == expected * 4
    groups = [row[0] for row in page.rows if len(row) == 1]
    assert groups == ["Training set: train-50", "Training set: train-full"] * 2
    assert page.rows[0] == ["Training data", "ADNI", "AIBL", "Runs"]
    assert page.rows[1] == ["Sensitivity", "Specificity", "Balanced accuracy"] * 2
    row = ("optimized", "train-full", "augmented", "rhvae", 10000, "downsampled", "AIBL", "balanced_accuracy")
    ours = table.set_index(COLUMNS[:8]).loc[row]
    cell = f"{ours['mean_percent']:.1f} ± {ours['sd_percent']:.1f} (84.3 ± 1.8)"
    assert page.rows[-1][6:] == [cell, "3"]
    markdown = markdown.replace("**", "")
    lines = [line for line in markdown.splitlines() if line.startswith("| train-")]
    assert len(lines) == 56
    assert lines[-1].startswith("| train-full | 10,000 synthetic + real |")
    assert lines[-1].endswith(f"| {cell} | 3 |")
    assert len(re.findall(r"\(\d", "".join(lines))) == len(re.findall('class="published"', html)) == 168
    assert "Simulated data" not in html + markdown


def test_the_highest_means_of_a_training_set_are_bold_and_ties_all_of_them(tmp_path, published):
    table = classification_table(make_runs(sizes=(500,)), published)
    here = (table["architecture"] == "baseline") & (table["training_set"] == "train-50")
    column = here & (table["test_cohort"] == "ADNI") & (table["metric"] == "sensitivity")
    # of real (full), real, synthetic, augmented: 82.35 is shown as 82.3, as 82.34 is
    table.loc[column, "mean_percent"] = [82.35, 80.0, 82.34, 82.36]
    table.loc[column, "sd_percent"] = 1.0
    assert [row[1].best for row in paper_layout(table)[0].groups["train-50"]] == [False, False, False, True]
    table.loc[column, "mean_percent"] = [91.04, 80.0, 90.98, 90.94]
    html, markdown = render(tmp_path, table)
    groups = [rows for sheet in paper_layout(table) for rows in sheet.groups.values()]
    assert [row[1].best for row in groups[0]] == [True, False, True, False]
    columns = [[row[place].best for row in rows] for rows in groups for place in range(1, 7)]
    assert all(any(column) for column in columns)
    n_best = sum(map(sum, columns))
    latex = (tmp_path / "table.tex").read_text()
    assert html.count("<strong>") - 1 == n_best
    assert latex.count("\\textbf{") == n_best + 1  # and the notice
    assert markdown.count("**") == 2 * (n_best + 1)
    assert "**91.0 ± 1.0**" in markdown
    assert "\\textbf{91.0 \\ensuremath{\\pm} 1.0}" in latex
    assert compiles(latex)
    assert "nothing about significance" in html


def test_simulated_results_say_so_first(tmp_path, published):
    table = classification_table(make_runs(sizes=(16,), n_seeds=1), published)
    html, markdown = render(tmp_path, table)
    assert html.index("<strong>Simulated data:</strong>") < html.index("<table>")
    assert markdown.index("**Simulated data:**") < markdown.index("| train-")
    for text in (html, markdown):
        assert "cannot be compared with published results" in text
        assert "for orientation only" in text


def test_the_page_stands_alone_and_is_accessible(tmp_path, published):
    html, _ = render(tmp_path, classification_table(make_runs(sizes=(16,), n_seeds=1), published))
    page = Page(html)
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert "http" not in html
    assert "url(" not in html
    assert ("html", {"lang": "en"}) in page.tags
    assert "viewport" in html
    assert "prefers-color-scheme: dark" in html
    assert tags.count("caption") == tags.count("table")
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")


def test_every_text_is_escaped(tmp_path, published):
    evil = "<script>alert('x')</script>|_*"
    runs = make_runs(sizes=(16,), n_seeds=2)
    for column in ("architecture", "training_set", "training_data", "test_cohort"):
        runs[column] = evil + runs[column].astype(str)
    table = classification_table(runs, published)
    html, markdown = render(tmp_path, table, title=evil, made={evil: evil, "two lines": "a\nb"})
    page = Page(html)
    assert "script" not in [tag for tag, _ in page.tags]
    assert "<script" not in html.lower()
    assert "&lt;script&gt;" in html
    assert any(evil in cell for row in page.rows for cell in row)
    assert re.search(r"(?<!\\)<script", markdown) is None
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {10}
    assert "a b" in markdown


def test_missing_values_are_shown_as_such(tmp_path, published):
    runs = make_runs(sizes=(16,), n_seeds=1)
    runs.loc[runs["metric"] == "specificity", "value_percent"] = numpy.nan
    only_adni = (runs["training_data"] == "synthetic") & (runs["test_cohort"] == "AIBL")
    html, _ = render(tmp_path, classification_table(runs[~only_adni], published))
    page = Page(html)
    rows = {row[0]: row[1:] for row in page.rows if len(row) == 8}
    assert rows["16 synthetic"][1] == "n/a"
    assert rows["16 synthetic"][3:] == ["n/a"] * 3 + ["1"]
    assert re.fullmatch(r"\d+\.\d", rows["16 synthetic"][0])
    assert "nan" not in html.lower()
