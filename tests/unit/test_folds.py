import numpy
import pandas
import pytest
from scipy import stats
from test_split import make_cohort

from rhvae_mri.cohort.folds import check_folds, compare_folds, iterate_folds, split_folds
from rhvae_mri.io.errors import StudyError


def make_split(n_ad=210, n_cn=243, seed=0):
    """The table of a split: train-full, and one participant per class in validation and in test."""
    people = make_cohort(n_ad + 2, n_cn + 2, seed)
    sets = [name for n in (n_ad, n_cn) for name in (*["train"] * n, "validation", "test")]
    return people.assign(set=sets, **{"train-full": [int(name == "train") for name in sets]})


@pytest.fixture(scope="module")
def split():
    return make_split()


@pytest.fixture(scope="module")
def folds(split):
    return split_folds(split, 5, seed=1)


def test_every_participant_of_train_full_is_held_out_once_and_nobody_else(split, folds):
    train = split[split["train-full"] == 1]
    assert sorted(folds["image_id"]) == sorted(train["image_id"])
    parts = list(iterate_folds(folds))
    assert [number for number, *_ in parts] == list(range(5))
    assert sorted(name for *_, held_out in parts for name in held_out["image_id"]) == sorted(
        train["image_id"]
    )
    for _, others, held_out in parts:
        assert sorted([*others["image_id"], *held_out["image_id"]]) == sorted(train["image_id"])


@pytest.mark.parametrize("sizes", [(210, 243), (12, 13), (5, 7), (101, 58)])
@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_folds_differ_by_one_participant_per_diagnosis_and_per_sex(sizes, n_folds):
    folds = split_folds(make_split(*sizes), n_folds, seed=2)
    for strata in (["diagnosis"], ["diagnosis", "sex"]):
        for _, stratum in folds.groupby(strata):
            counts = numpy.bincount(stratum["fold"], minlength=n_folds)
            assert counts.max() - counts.min() <= 1
    counts = folds["fold"].value_counts()
    assert counts.max() - counts.min() <= 2


def test_each_run_of_neighbours_in_age_has_one_participant_in_each_fold(folds):
    for _, stratum in folds.groupby(["diagnosis", "sex"]):
        by_age = stratum.sort_values(["age", "participant_id"])["fold"].to_numpy()
        whole = by_age[: len(by_age) // 5 * 5].reshape(-1, 5)
        assert (numpy.sort(whole, axis=1) == numpy.arange(5)).all()
        # the order within a run is by lot, so no fold has always the youngest
        assert (numpy.bincount(whole[:, 0], minlength=5) < len(whole)).all()


@pytest.mark.parametrize("seed", range(10))
def test_folds_of_the_studys_size_are_balanced(seed):
    """Every p-value of age and sex reaches the level that the study's own split has to reach."""
    split = make_split(seed=seed)
    table = compare_folds(split_folds(split, 5, seed), seed)
    assert len(table) == 2 * 5 * 3
    assert table.loc[table["variable"] != "site", "p_value"].min() >= 0.8
    assert table.loc[table["variable"] == "site", "p_value"].min() > 0.001


def test_the_tests_of_balance_are_those_of_the_fold_against_the_others(folds):
    table = compare_folds(folds, 1)
    group = folds[folds["diagnosis"] == "CN"]
    inside = group["fold"] == 3
    (row,) = table.query("comparison == 'fold 3 vs the others, CN' and variable == 'age'").itertuples()
    expected = stats.ttest_ind(group["age"][inside], group["age"][~inside])
    assert (row.statistic, row.p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_folds_depend_on_the_seed_and_not_on_the_order_of_the_rows(split, folds):
    pandas.testing.assert_frame_equal(split_folds(split.sample(frac=1, random_state=0), 5, seed=1), folds)
    assert (split_folds(split, 5, seed=2)["fold"] != folds["fold"]).mean() > 0.5


def test_unknown_age_and_sex_are_dealt_too(split):
    unknown = split.copy()
    unknown.loc[:40, "age"] = numpy.nan
    unknown.loc[20:60, "sex"] = numpy.nan
    folds = split_folds(unknown, 5, seed=1)
    assert folds["fold"].between(0, 4).all()
    assert folds[folds["diagnosis"] == "AD"]["fold"].value_counts().tolist() == [42] * 5


def test_no_fold_leaks(split, folds):
    found = check_folds(folds, split)
    assert list(found) == [f"fold {number}" for number in range(5)]
    assert all(check["passed"] for check in found.values())
    held_out = [check["n_participants"]["validation"] for check in found.values()]
    assert sum(held_out) == len(folds)
    assert all(check["n_participants"]["the study's test set"] == 2 for check in found.values())


def test_a_participant_of_the_test_set_or_of_another_fold_is_a_leak(split, folds):
    tested, twice = (
        split[split["set"] == "test"].assign(fold=0),
        folds[folds["fold"] == 0].head(1).assign(fold=1),
    )
    for rows, words in ((tested, "participants of the study's test set"), (twice, "more than one")):
        with pytest.raises(StudyError, match=words):
            check_folds(pandas.concat([folds, rows[folds.columns]], ignore_index=True), split)


def test_too_few_participants_are_refused():
    with pytest.raises(StudyError, match="4 participants of the diagnosis AD, too few for 5 folds"):
        split_folds(make_split(4, 20), 5, seed=1)
    with pytest.raises(StudyError, match="two folds"):
        split_folds(make_split(4, 20), 1, seed=1)
