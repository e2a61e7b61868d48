import numpy
import pandas
import pytest
from markup import Page, compiles
from scipy import stats
from test_split import make_cohort

from rhvae_mri.cohort.balance import TESTS
from rhvae_mri.cohort.demographics import (
    COLUMNS,
    DIFFERENCE_COLUMNS,
    compare_sets,
    describe_sets,
    list_comparisons,
    read_described_sets,
    standardized_difference,
)
from rhvae_mri.cohort.images import COLUMNS as IMAGE_COLUMNS
from rhvae_mri.cohort.leakage import check_leakage
from rhvae_mri.io.files import write_tsv
from rhvae_mri.pages.demographics_page import write_demographics


def make_people(n=60, shift=0.0, cohort="ADNI", seed=0):
    people = make_cohort(n // 2, n // 2, seed, n_sites=8)
    random, is_ill = numpy.random.default_rng(seed), people["diagnosis"] == "AD"
    people["age"] += shift
    people["mmse"] += random.integers(-2, 2, n)
    people["cdr"] = numpy.where(is_ill, random.choice([0.5, 1.0], n), 0.0)
    people = people.replace("ADNI", cohort, regex=True).assign(cohort=cohort)
    return people.sample(frac=1, random_state=seed, ignore_index=True)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A split and an independent cohort, as the workflow writes them."""
    folder = tmp_path_factory.mktemp("study")
    adni, aibl = make_people(120), make_people(40, cohort="AIBL", seed=1)
    for people in (adni, aibl):
        images = people.assign(field_strength=3, path="x", status="kept", reason=None)
        other = images.head(3).assign(session_id="ses-M006", status="excluded", mmse=0)
        other["image_id"] = other["participant_id"] + "_ses-M006"
        table = pandas.concat([images, other])[list(IMAGE_COLUMNS)]
        write_tsv(folder / f"{people['cohort'].iloc[0]}.tsv", table)
    sets = numpy.repeat(["train", "validation", "test"], [70, 20, 30])
    split = adni.drop(columns=["mmse", "cdr", "cohort"]).assign(set=sets)
    split["train-full"] = (sets == "train").astype(int)
    split["train-8"] = split["train-full"] * (numpy.arange(120) < 24)
    write_tsv(folder / "split.tsv", split)
    write_tsv(folder / "independent.tsv", aibl.drop(columns=["mmse", "cdr"]))
    tables = [folder / f"{name}.tsv" for name in ("ADNI", "AIBL")]
    return adni, aibl, split, read_described_sets(folder / "split.tsv", folder / "independent.tsv", tables)


def test_sets_are_read_with_the_scores_of_their_images(study):
    adni, aibl, _, (sets, test_cohorts) = study
    sizes = {name: len(people) for name, people in sets.items()}
    assert sizes == {"train-full": 70, "train-8": 24, "validation": 20, "test": 30}
    assert sets["test"]["mmse"].tolist() == adni["mmse"].iloc[90:].tolist()
    assert test_cohorts["AIBL"]["cdr"].tolist() == aibl["cdr"].tolist()
    assert set(sets["test"]["site"]) <= set("01234567")  # text


def test_a_study_without_an_independent_cohort_is_read_too(study, tmp_path):
    adni, aibl, split, _ = study
    paths = [tmp_path / f"{name}.tsv" for name in ("split", "independent", "ADNI")]
    write_tsv(paths[0], split)
    write_tsv(paths[1], aibl.drop(columns=["mmse", "cdr"]).head(0))
    write_tsv(paths[2], adni.assign(field_strength=3, path="x", status="kept", reason=None))
    sets, test_cohorts = read_described_sets(*paths[:2], paths[2:])
    assert (len(sets["test"]), test_cohorts) == (30, {})
    assert len(list_comparisons(sets, test_cohorts)) == 4


def test_every_pair_of_sets_is_compared_and_a_part_with_the_rest(study):
    pairs = list_comparisons(*study[3])
    assert list(pairs) == [
        "train-full vs validation",
        "train-full vs test",
        "validation vs test",
        "train-8 vs rest of train-full",
        "test vs AIBL",
    ]
    part, rest = pairs["train-8 vs rest of train-full"]
    assert (len(part), len(rest)) == (24, 46)
    assert not set(part["participant_id"]) & set(rest["participant_id"])


def test_tests_are_those_of_scipy(study):
    pairs = list_comparisons(*study[3])
    table = compare_sets(pairs, seed=1)
    assert tuple(table.columns) == DIFFERENCE_COLUMNS
    assert len(table) == len(pairs) * 2 * len(TESTS)
    first, second = (people[people["diagnosis"] == "AD"] for people in pairs["train-full vs test"])
    rows = table.query("comparison == 'train-full vs test' and diagnosis == 'AD'").set_index("variable")
    counts = [[(people["sex"] == sex).sum() for sex in "FM"] for people in (first, second)]
    expected = {
        "age": stats.ttest_ind(first["age"], second["age"]).pvalue,
        "sex": stats.chi2_contingency(counts).pvalue,
        "mmse": stats.mannwhitneyu(first["mmse"], second["mmse"]).pvalue,
        "cdr": stats.mannwhitneyu(first["cdr"], second["cdr"]).pvalue,
    }
    for variable, p_value in expected.items():
        assert rows.loc[variable, "p_value"] == pytest.approx(p_value, abs=1e-4)
        assert (rows.loc[variable, "n_first"], rows.loc[variable, "n_second"]) == (len(first), len(second))
    assert 0 < rows.loc["site", "p_value"] <= 1
    assert numpy.isnan(rows.loc["site", "standardized_difference"])
    pandas.testing.assert_frame_equal(table, compare_sets(pairs, seed=1))


def test_standardized_differences_by_hand():
    def ages(*values):
        return pandas.Series(values, dtype=float)

    # means 72 and 70, variances 4 and 2: 2 / sqrt(3)
    assert standardized_difference("age", ages(70, 72, 74), ages(69, 71)) == pytest.approx(2 / numpy.sqrt(3))
    # shares 3/4 and 1/2: 0.25 / sqrt((3/16 + 1/4) / 2)
    shares = pandas.Series(list("FFFM")), pandas.Series(list("FM"))
    assert standardized_difference("sex", *shares) == pytest.approx(0.25 / numpy.sqrt(7 / 32))
    assert standardized_difference("cdr", ages(0, 0), ages(0, 0)) == 0
    assert numpy.isnan(standardized_difference("cdr", ages(0, 0), ages(1, 1)))
    assert numpy.isnan(standardized_difference("age", ages(70), ages(69, 71)))


def test_a_difference_is_found_and_a_value_that_nobody_has_is_missing():
    older = make_people(80, shift=8, seed=3)
    table = compare_sets({"a vs b": (older, make_people(80, seed=4).assign(mmse=numpy.nan))}, seed=0)
    ages = table[table["variable"] == "age"]
    assert (ages["p_value"] < 0.01).all()
    assert (ages["standardized_difference"] > 0.7).all()
    scores = table[table["variable"] == "mmse"]
    assert scores[["statistic", "p_value", "standardized_difference"]].isna().all(axis=None)
    assert (scores["n_second"] == 0).all()


def test_the_page_has_every_set_difference_and_check(study, tmp_path):
    _, aibl, split, (sets, test_cohorts) = study
    demographics = describe_sets(sets | {"AIBL": aibl.assign(mmse=numpy.nan)})
    demographics.loc[0, "n_mmse"] = 3
    differences = compare_sets(list_comparisons(sets, test_cohorts), seed=0)
    leakage = check_leakage(split, {}, test_cohorts)
    write_demographics(demographics, differences, leakage, tmp_path / "p.html", title="A", simulated=True)
    page = Page((tmp_path / "p.html").read_text())
    assert len(page.rows) == 3 + 10 + len(differences) + len(leakage["checks"])
    first = demographics.iloc[0]
    assert page.rows[1][:4] == [
        "train-full",
        "AD",
        str(first["n"]),
        f"{first['age_mean']:.1f} ± {first['age_sd']:.1f} [{first['age_min']:g}–{first['age_max']:g}]",
    ]
    assert page.rows[1][5].endswith(", n = 3")
    assert page.rows[9][5] == "n/a"
    assert ["No participants in more than one set", "holds"] in page.rows
    assert "train-8 24" in (tmp_path / "p.md").read_text().replace("\\", "")
    assert compiles((tmp_path / "p.tex").read_text())


def scored_people():
    return pandas.DataFrame(
        {
            "diagnosis": ["AD", "AD", "AD", "CN", "CN"],
            "age": [70.0, 75.0, 83.0, 60.0, numpy.nan],
            "sex": ["F", "M", "F", "M", None],
            "site": ["1", "2", "1", "3", None],
            "mmse": [20.0, 22.0, 27.0, 30.0, 29.0],
            "cdr": [0.5, 1.0, 1.0, 0.0, 0.0],
        }
    )


def test_values_by_hand():
    table = describe_sets({"train-full": scored_people()})
    assert list(table.columns) == list(COLUMNS)
    patients, controls = table.to_dict("records")
    assert patients == pytest.approx(
        {
            **{"set": "train-full", "diagnosis": "AD", "n": 3, "n_sites": 2},
            # sqrt((36 + 1 + 49) / 2), sqrt((9 + 1 + 16) / 2)
            **{"age_mean": 76.0, "age_sd": 6.56, "age_min": 70.0, "age_max": 83.0},
            **{"n_female": 2, "female_percent": 66.67, "n_mmse": 3, "n_cdr": 3},
            **{"mmse_mean": 23.0, "mmse_sd": 3.61, "mmse_min": 20.0, "mmse_max": 27.0},
            **{"cdr_mean": 0.83, "cdr_min": 0.5, "cdr_max": 1.0},
        }
    )
    assert (controls["n"], controls["age_mean"], controls["female_percent"]) == (2, 60.0, 0.0)
    assert numpy.isnan(controls["age_sd"])
    assert controls["n_sites"] == 1


def test_sets_stay_in_order_and_values_that_nobody_has_are_missing():
    nothing = scored_people().assign(age=numpy.nan, sex=None, site=None, mmse=numpy.nan, cdr=None)
    table = describe_sets({"test": scored_people(), "AIBL": nothing})
    assert table["set"].tolist() == ["test", "test", "AIBL", "AIBL"]
    known = [name for name in COLUMNS[3:] if not name.startswith("n_") or name == "n_sites"]
    assert table.loc[table["set"] == "AIBL", known].isna().all().all()
    assert (table.loc[table["set"] == "AIBL", ["n_female", "n_mmse", "n_cdr"]] == 0).all().all()
    assert describe_sets({}).empty
