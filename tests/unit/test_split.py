import numpy
import pandas
import pytest
from scipy import stats

from rhvae_mri.cohort.balance import Criteria, draw_balanced_sets
from rhvae_mri.cohort.leakage import check_leakage
from rhvae_mri.cohort.split import draw_test_cohorts, name_sets, set_sizes, split_cohort, write_independent
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.study.names import CLASSES

STUDY = {"n_test_per_class": 100, "validation_fraction": 0.2, "train_subsets": [50], "seed": 3}
SMALL = {"n_test_per_class": 10, "validation_fraction": 0.2, "train_subsets": [8], "seed": 3}


def make_cohort(n_ad, n_cn, seed=0, n_sites=57):
    random = numpy.random.default_rng(seed)
    blocks = []
    for diagnosis, n, age, women in (("AD", n_ad, 75.3, 0.45), ("CN", n_cn, 73.9, 0.52)):
        shares = random.dirichlet(numpy.full(n_sites, 2.0))
        names = [f"sub-ADNI{number:04d}{diagnosis}" for number in range(n)]
        block = {
            "image_id": [f"{name}_ses-M000" for name in names],
            "participant_id": names,
            "session_id": "ses-M000",
            "diagnosis": diagnosis,
            "age": random.normal(age, 7, n).round(1),
            "sex": numpy.where(random.random(n) < women, "F", "M"),
            "site": random.choice(n_sites, n, p=shares).astype(str),
            "mmse": 29.0 if diagnosis == "CN" else 23.0,
            "cdr": 0.0 if diagnosis == "CN" else 0.5,
        }
        blocks.append(pandas.DataFrame(block))
    return pandas.concat(blocks, ignore_index=True)


def counts(split):
    sets = name_sets(split)
    return {name: tuple((rows["diagnosis"] == one).sum() for one in CLASSES) for name, rows in sets.items()}


@pytest.fixture(scope="module")
def study():
    return split_cohort(make_cohort(362, 403), **STUDY)


def test_the_published_counts(study):
    assert list(study.split.columns) == [
        *("image_id", "participant_id", "session_id", "diagnosis", "age", "sex", "site", "set"),
        *("train-full", "train-50"),
    ]
    assert counts(study.split) == {
        "train-full": (210, 243),
        "train-50": (50, 50),
        "validation": (52, 60),
        "test": (100, 100),
    }


def test_the_table_of_balance(study):
    balance = study.balance
    columns = ["comparison", "variable", "test", "statistic", "p_value", "threshold", "n_tries"]
    assert list(balance.columns) == columns
    assert (balance["p_value"] >= balance["threshold"]).all()
    variables = balance.groupby("comparison")["variable"].agg(list).to_dict()
    expected = {}
    for diagnosis in ("AD", "CN"):
        for pair in ("test vs validation", "test vs train-full", "validation vs train-full"):
            expected[f"{pair}, {diagnosis}"] = ["age", "sex", "site"]
        expected[f"train-50 vs rest of train-full, {diagnosis}"] = ["age", "sex"]
    assert variables == expected
    split = study.split[study.split["diagnosis"] == "AD"]
    expected = stats.ttest_ind(*(split.loc[split["set"] == name, "age"] for name in ("test", "validation")))
    (row,) = balance.query("comparison == 'test vs validation, AD' and variable == 'age'").itertuples()
    assert (row.statistic, row.p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_the_split_depends_on_seed_and_participants_alone(study):
    cohort = make_cohort(362, 403)
    again = split_cohort(cohort.sample(frac=1, random_state=1), **STUDY)
    pandas.testing.assert_frame_equal(again.split, study.split)
    pandas.testing.assert_frame_equal(again.balance, study.balance)
    other = split_cohort(cohort, **{**STUDY, "seed": 4})
    assert (other.split["set"] != study.split["set"]).mean() > 0.2


def test_another_training_set_changes_nothing_else(study):
    more = split_cohort(make_cohort(362, 403), **{**STUDY, "train_subsets": [20, 50, 100]}).split
    pandas.testing.assert_frame_equal(more[study.split.columns], study.split)
    assert counts(more)["train-20"] == (20, 20)
    assert counts(more)["train-100"] == (100, 100)


@pytest.mark.parametrize("seed", range(10))
def test_random_cohorts(seed):
    random = numpy.random.default_rng(seed)
    n_ad, n_cn = random.integers(40, 120, 2)
    cohort = make_cohort(n_ad, n_cn, seed, n_sites=int(random.integers(1, 30)))
    cohort.loc[random.random(len(cohort)) < 0.1, "age"] = numpy.nan
    cohort.loc[random.random(len(cohort)) < 0.1, "sex"] = None
    cohort.loc[random.random(len(cohort)) < 0.1, "site"] = None
    n_test = int(random.integers(5, 15))
    fraction = float(random.choice([0.1, 0.2, 0.25, 0.5]))
    options = {"n_test_per_class": n_test, "validation_fraction": fraction, "train_subsets": [5, 10]}
    result = split_cohort(cohort, **options, p_threshold=0.6, seed=seed)
    split = result.split
    own = ["participant_id", "diagnosis", "age", "sex", "site"]
    known = cohort.sort_values("participant_id", ignore_index=True)[own]
    pandas.testing.assert_frame_equal(split[own], known)
    assert ((split["set"] == "train") == (split["train-full"] == 1)).all()
    for position, n in enumerate((n_ad, n_cn)):
        sizes = {name: pair[position] for name, pair in counts(split).items()}
        assert sizes["test"] == n_test
        assert sizes["validation"] == int(fraction * (n - n_test))
        assert sizes["train-full"] == n - n_test - sizes["validation"]
        assert (sizes["train-5"], sizes["train-10"]) == (5, 10)
    for name in ("train-5", "train-10"):
        assert (split.loc[split[name] == 1, "train-full"] == 1).all()
    assert (result.balance["p_value"] >= result.balance["threshold"]).all()


def test_variables_that_nobody_has_are_not_tested():
    cohort = make_cohort(28, 30, n_sites=3).assign(age=numpy.nan, site=None)
    balance = split_cohort(cohort, **SMALL).balance
    assert set(balance["variable"]) == {"sex"}
    cohort["sex"] = None
    assert split_cohort(cohort, **SMALL).balance.empty


def test_training_sets_can_be_drawn_again_and_participants_kept_apart():
    cohort = make_cohort(60, 70, n_sites=3)
    options = {**SMALL, "p_threshold": 0.1, "require_balance": False}
    once = split_cohort(cohort, **options)
    again = split_cohort(cohort, **options, n_draws=3)
    draws = [again.split[name] for name in ("train-8", "train-8-draw-1", "train-8-draw-2")]
    assert all(draw.sum() == 16 for draw in draws)
    assert (draws[0] != draws[1]).any()
    assert (draws[1] != draws[2]).any()
    assert (again.split[["train-8-draw-1", "train-8-draw-2"]].max(axis=1) <= again.split["train-full"]).all()
    pandas.testing.assert_frame_equal(again.split[once.split.columns], once.split)
    apart = split_cohort(cohort, **options, n_oracle_per_class=20).split
    assert counts(apart)["oracle"] == (20, 20)
    assert counts(apart)["test"] == (10, 10)
    assert sum(counts(apart)["train-full"]) + sum(counts(apart)["validation"]) == 130 - 2 * 30
    assert (apart.loc[apart["set"] == "oracle", ["train-full", "train-8"]] == 0).all(axis=None)
    check_leakage(apart, {}, {})
    with pytest.raises(
        StudyError, match=r"needs 69: 10 to test and 9 to .* train, 50 to keep apart as oracle"
    ):
        split_cohort(cohort, **options, n_oracle_per_class=50)


def test_a_training_set_of_everyone_needs_no_draw_and_one_of_all_but_one_does():
    options = {**SMALL, "p_threshold": 0.01, "train_subsets": [14, 15]}
    result = split_cohort(make_cohort(28, 28, n_sites=3), **options)
    assert (result.split["train-15"] == result.split["train-full"]).all()
    assert not result.balance["comparison"].str.contains("train-15").any()
    assert counts(result.split)["train-14"] == (14, 14)
    assert result.balance["comparison"].str.contains("train-14").any()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((362, 100, 0.2, [50]), (100, 52, 210)),  # published: 52.4 round down
        ((110, 10, 0.29, []), (10, 29, 71)),  # 0.29 * 100 is less than 29 in floating point
        ((31, 1, 0.2, []), (1, 6, 24)),  # one to test
        ((102, 1, 0.99, []), (1, 99, 2)),  # nearly all validate
        ((62, 10, 0.2, [42]), (10, 10, 42)),  # the largest training set is all that train
    ],
)
def test_sizes_round_down_and_may_be_one(arguments, expected):
    assert set_sizes("AD", *arguments) == expected


@pytest.mark.parametrize(("n_test", "fraction"), [(0, 0.2), (1, 0.0), (1, 1.0)])
def test_shares_that_make_no_split(n_test, fraction):
    with pytest.raises(StudyError, match="make no split"):
        set_sizes("AD", 100, n_test, fraction, [])


@pytest.mark.parametrize(("n", "fits"), [(19, True), (18, False)])
def test_too_few_participants(n, fits):
    """10 to test; of 9 others 1 validates and 8 train."""
    cohort = make_cohort(n, 40, n_sites=2)
    if fits:
        assert counts(split_cohort(cohort, **SMALL, require_balance=False).split)["train-8"][0] == 8
    else:
        with pytest.raises(StudyError, match=r"AD has 18 .* needs 19: 10 to test and 9 to validate"):
            split_cohort(cohort, **SMALL)


def test_the_best_draw_is_reported_when_the_tries_are_spent(caplog):
    cohort, options = make_cohort(28, 30, n_sites=3), {**SMALL, "p_threshold": 0.9999, "max_tries": 300}
    with pytest.raises(StudyError) as raised:
        split_cohort(cohort, **options)
    for words in ("None of 300 random draws is balanced", "age p = 0.", "diagnosis AD"):
        assert words in str(raised.value)
    balance = split_cohort(cohort, **options, require_balance=False).balance
    assert "None of 300 random draws is balanced" in caplog.text
    tests = balance[balance["comparison"].str.startswith("test vs")]
    assert (tests["n_tries"] == 300).all()
    few = split_cohort(cohort, **{**options, "max_tries": 3}, require_balance=False).balance
    ages = [table.loc[table["variable"] == "age", "p_value"].min() for table in (few, balance)]
    assert ages[0] < ages[1]  # a longer search finds a better draw


def test_sites_decide_too():
    """With a level of the sites above 1/2 a draw that is balanced in age and sex is often refused."""
    cohort = make_cohort(60, 60, n_sites=12)
    strict = split_cohort(cohort, **{**SMALL, "p_threshold": 0.5}, site_threshold=0.6).balance
    lenient = split_cohort(cohort, **{**SMALL, "p_threshold": 0.5}, site_threshold=0.001).balance
    assert (strict.loc[strict["variable"] == "site", "p_value"] >= 0.6).all()
    assert strict["n_tries"].max() > lenient["n_tries"].max()


def test_the_number_of_tries_counts_the_draw_that_is_taken():
    people = make_cohort(40, 0, n_sites=6)
    for threshold, seed in ((0.5, 2), (0.8, 1)):  # found in the first batch of draws, and in a later one
        found = draw_balanced_sets(people, (10, 5, 25), Criteria(threshold, 0.05, 20_000), seed)
        assert found.balanced
        enough, fewer = (
            draw_balanced_sets(people, (10, 5, 25), Criteria(threshold, 0.05, tries), seed)
            for tries in (found.n_tries, found.n_tries - 1)
        )
        assert (enough.n_tries, enough.balanced) == (found.n_tries, True)
        assert (fewer.n_tries, fewer.balanced) == (found.n_tries - 1, False)
        numpy.testing.assert_array_equal(enough.sets, found.sets)
    assert found.n_tries > 256


def test_draws_are_not_biased():
    """Where every draw is balanced, each participant is equally often in each set."""
    people = make_cohort(20, 0, n_sites=1).assign(age=70.0, sex="F")
    criteria = Criteria(p_threshold=0.8, site_threshold=None, max_tries=1)
    draws = [draw_balanced_sets(people, (5, 3, 12), criteria, seed).sets for seed in range(300)]
    for number, size in enumerate((5, 3, 12)):
        members = numpy.array(draws) == number
        assert (members.sum(axis=1) == size).all()
        assert stats.chisquare(members.sum(axis=0)).pvalue > 0.001


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda cohort: pandas.concat([cohort, cohort[:1]]), {}, "more than one image: sub-ADNI0000AD"),
        (lambda cohort: cohort.replace("CN", "MCI"), {}, "neither AD nor CN: sub-ADNI0000CN"),
        (lambda cohort: cohort[cohort["diagnosis"] == "AD"], {}, "Diagnosis CN has 0 participants"),
        (lambda cohort: cohort, {"train_subsets": [8, 8]}, "train-8 is asked for twice"),
    ],
)
def test_bad_input(spoil, options, message):
    with pytest.raises(StudyError, match=message):
        split_cohort(spoil(make_cohort(28, 30, n_sites=2)), **{**SMALL, **options})


def test_test_cohorts_are_drawn_each_on_its_own_and_written_as_one_table(tmp_path):
    aibl, oasis = make_cohort(76, 429), make_cohort(10, 10, seed=1)

    def draw(number, seed=1, aibl=aibl, **others):
        return draw_test_cohorts({"AIBL": aibl, **others}, {"AIBL": number}, seed)

    some = draw(50, OASIS=oasis)
    assert some["AIBL"]["diagnosis"].value_counts().to_dict() == {"AD": 50, "CN": 50}
    pandas.testing.assert_frame_equal(some["AIBL"], draw(50)["AIBL"])
    pandas.testing.assert_frame_equal(
        some["AIBL"], draw(50, aibl=aibl.sample(frac=1, random_state=0))["AIBL"]
    )
    assert set(some["AIBL"]["participant_id"]) != set(draw(50, seed=2)["AIBL"]["participant_id"])
    assert sorted(draw("all")["AIBL"]["participant_id"]) == sorted(aibl["participant_id"])
    assert draw(76)["AIBL"]["diagnosis"].value_counts().tolist() == [76, 76]
    with pytest.raises(StudyError, match="Diagnosis AD of the independent cohort has 76"):
        draw(77)
    write_independent(tmp_path / "independent.tsv", some)
    written = read_tsv(tmp_path / "independent.tsv")
    assert written["cohort"].value_counts().to_dict() == {"AIBL": 100, "OASIS": 20}
    write_independent(tmp_path / "none.tsv", {})
    assert list(read_tsv(tmp_path / "none.tsv").columns) == list(written.columns)
