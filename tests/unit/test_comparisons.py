from dataclasses import replace

import numpy
import pandas
import pytest
from made_up_runs import GRID, write_predictions
from scipy import stats

from rhvae_mri.statistics.comparisons import COMPARISON_COLUMNS, compare_conditions
from rhvae_mri.statistics.conditions import list_doubts
from rhvae_mri.statistics.estimates import estimate_performance
from rhvae_mri.statistics.inference import benjamini_hochberg, cohens_d, holm, swap_test, t_test
from rhvae_mri.statistics.metrics import metrics_by_run
from rhvae_mri.statistics.predictions import read_predictions
from rhvae_mri.statistics.published import read_published
from rhvae_mri.statistics.variance import contributions, outcomes, split_variance

OPTIONS = {"confidence": 0.95, "n_permutations": 199, "seed": 3}


@pytest.fixture(scope="module")
def published(root):
    return read_published(root / "resources/published_results.tsv")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    collected = read_predictions(write_predictions(tmp_path_factory.mktemp("predictions")))
    return [each for each in collected if each.set == "test"]


@pytest.fixture(scope="module")
def table(sets, published):
    return compare_conditions(sets, estimate_performance(sets, 300, 0.95, 3).resampled, published, **OPTIONS)


def where(table, **values):
    return table[(table[list(values)] == pandas.Series(values)).all(axis=1)]


def test_every_condition_but_the_reference_is_compared_by_every_metric(table):
    assert tuple(table.columns) == COMPARISON_COLUMNS
    # 2 architectures x 2 training sets x (synthetic, augmented), 2 test sets, 4 metrics
    assert len(table) == 8 * 2 * 4
    assert "real" not in set(table["training_data"])
    assert set(table["resolution"]) == {"downsampled"}


def test_a_comparison_is_of_the_same_architecture_training_set_and_resolution(table, sets):
    adni = sets[0]
    names = adni.conditions.reset_index(drop=True)
    one = {"architecture": "optimized", "training_set": "train-50", "resolution": "downsampled"}
    row = where(table, **one, training_data="augmented", test_cohort="ADNI").set_index("metric")
    at = {
        data: adni.probabilities[where(names, **one, training_data=data).index[0]]
        for data in ("real", "augmented")
    }
    values = {data: [metrics_by_run(adni.labels, run) for run in runs] for data, runs in at.items()}
    for metric in row.index:
        ours, real = (numpy.array([run[metric] for run in values[data]]) for data in ("augmented", "real"))
        assert row.loc[metric, "mean_percent"] == pytest.approx(100 * ours.mean(), abs=1e-3)
        assert row.loc[metric, "reference_mean_percent"] == pytest.approx(100 * real.mean(), abs=1e-3)
        assert row.loc[metric, "cohens_d"] == pytest.approx(cohens_d(ours, real), abs=1e-3)
        difference = row.loc[metric, "difference_percent"]
        assert difference == pytest.approx(100 * (ours.mean() - real.mean()), abs=1e-3)
        assert row.loc[metric, "low_percent"] < difference < row.loc[metric, "high_percent"]
        both = [outcomes(adni.labels, at[data], metric) for data in ("augmented", "real")]
        parts = split_variance(adni.labels, both[0], metric, both[1])
        mean, freedom = ours.mean() - real.mean(), parts.degrees_of_freedom
        assert row.loc[metric, "p_value"] == pytest.approx(t_test(mean, numpy.sqrt(parts.total), freedom))
        if metric == "auc":
            second = t_test(mean, numpy.sqrt(parts.participants), numpy.inf)
        else:
            change = contributions(adni.labels, both[0], metric) - contributions(adni.labels, both[1], metric)
            second = swap_test(change[:, None], 20_000, 1)[0]
        assert row.loc[metric, "p_participants"] == pytest.approx(
            second, abs=1e-9 if metric == "auc" else 0.1
        )


def test_p_values_are_corrected_within_a_test_cohort_and_metric(table):
    for _, family in table.groupby(["test_cohort", "metric"]):
        assert (family["n_tests"] == 8).all()
        numpy.testing.assert_allclose(family["p_holm"], holm(family["p_value"]))
        numpy.testing.assert_allclose(family["p_benjamini_hochberg"], benjamini_hochberg(family["p_value"]))


def test_the_published_difference_stands_where_both_means_are_published(table, published):
    one = {"architecture": "baseline", "training_set": "train-full", "test_cohort": "AIBL"}
    one["metric"] = "balanced_accuracy"
    row = where(table, **one, training_data="augmented").iloc[0]
    values = where(published, **one).set_index("n_synthetic")["published_mean_percent"]
    assert row["published_difference_percent"] == pytest.approx(values[500] - values[0])
    without = table[(table["training_data"] == "synthetic") | (table["metric"] == "auc")]
    assert without["published_difference_percent"].isna().all()


def test_a_better_condition_is_found_and_an_equal_one_is_not(sets, published):
    adni = sets[0]
    probabilities = adni.probabilities.copy()
    is_real = (adni.conditions["training_data"] == "real").to_numpy()
    probabilities[:] = probabilities[is_real][0]
    better = (adni.conditions["training_data"] == "augmented").to_numpy()
    probabilities[better] = numpy.where(adni.labels, 0.99, 0.01)
    known = [replace(adni, probabilities=probabilities)]
    table = compare_conditions(
        known, estimate_performance(known, 300, 0.95, 3).resampled, published, **OPTIONS
    )
    equal = table[table["training_data"] == "synthetic"]
    assert (equal["difference_percent"] == 0).all()
    assert (equal[["p_value", "p_holm", "p_participants"]] == 1).all(axis=None)
    found = table[(table["training_data"] == "augmented") & (table["metric"] == "balanced_accuracy")]
    assert (found["p_holm"] < 0.01).all()
    assert (found["p_participants"] < 0.02).all()
    assert (found["low_percent"] > 0).all()


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """The predictions of a study of three generators, on ADNI."""
    grid = GRID | {"generators": ["ppca", "rhvae", "vae"], "architectures": ["baseline"]}
    files = write_predictions(tmp_path_factory.mktemp("several"), grid=grid)
    return next(each for each in read_predictions(files) if each.set == "test")


def compare(each, published, **options):
    resampled = estimate_performance([each], 300, 0.95, 3).resampled
    return compare_conditions([each], resampled, published, **OPTIONS | options)


def test_generators_are_compared_with_each_other_by_hand(several, published):
    shares = {"none": (0, 1), "rhvae": (1, 1), "vae": (1, 0), "ppca": (0, 0)}  # of AD, of CN that are right
    probabilities = several.probabilities.copy()
    for place, generator in enumerate(several.conditions["generator"]):
        ad, cn = shares[generator]
        probabilities[place] = numpy.where(several.labels, 0.1 + 0.8 * ad, 0.9 - 0.8 * cn)
    table = compare(replace(several, probabilities=probabilities), published)
    assert tuple(table.columns) == COMPARISON_COLUMNS
    one = where(table, training_set="train-50", training_data="augmented")
    found = {}
    for metric in ("sensitivity", "specificity", "balanced_accuracy"):
        rows = one[one["metric"] == metric]
        pairs = zip(rows["generator"], rows["reference"], strict=True)
        found[metric] = dict(zip(pairs, rows["difference_percent"], strict=True))
    real = {("rhvae", "real"): (100, 0), ("vae", "real"): (100, -100), ("ppca", "real"): (0, -100)}
    pairs = real | {("vae", "rhvae"): (0, -100), ("ppca", "rhvae"): (-100, -100), ("ppca", "vae"): (-100, 0)}
    assert found["sensitivity"] == {pair: ad for pair, (ad, _) in pairs.items()}
    assert found["specificity"] == {pair: cn for pair, (_, cn) in pairs.items()}
    assert found["balanced_accuracy"] == {pair: (ad + cn) / 2 for pair, (ad, cn) in pairs.items()}
    row = where(one, metric="sensitivity", generator="ppca", reference="vae").iloc[0]
    assert (row["mean_percent"], row["reference_mean_percent"]) == (0, 100)


def test_all_pairs_are_corrected_together_and_none_changes_the_others_own_numbers(several, published):
    table = compare(several, published)
    # in each of 2 training sets and 2 kinds of data 3 generators against real, and 3 pairs of them
    assert set(table["n_tests"]) == {2 * 2 * (3 + 3)}
    for _, family in table.groupby("metric"):
        numpy.testing.assert_allclose(family["p_holm"], holm(family["p_value"]))
    kept = several.conditions["generator"].isin(["none", "rhvae"]).to_numpy()
    conditions = several.conditions[kept].reset_index(drop=True)
    alone = compare(
        replace(several, conditions=conditions, probabilities=several.probabilities[kept]), published
    )
    assert set(alone["reference"]) == {"real"}
    same = where(table, generator="rhvae", reference="real").reset_index(drop=True)
    columns = [name for name in table if name not in ("p_holm", "p_benjamini_hochberg", "n_tests")]
    pandas.testing.assert_frame_equal(same[columns], alone[columns], check_exact=True)


def test_the_published_difference_is_that_of_the_rhvae_to_real_images(several, published):
    table = compare(several, published)
    known = table[table["published_difference_percent"].notna()]
    assert set(known["generator"]) == {"rhvae"}
    assert set(known["reference"]) == {"real"}
    assert len(known) == 2 * 3  # training sets, metrics


def test_generators_are_compared_without_real_images_too(several, published):
    kept = (several.conditions["training_data"] != "real").to_numpy()
    conditions = several.conditions[kept].reset_index(drop=True)
    table = compare(
        replace(several, conditions=conditions, probabilities=several.probabilities[kept]), published
    )
    assert set(zip(table["generator"], table["reference"], strict=True)) == {
        ("vae", "rhvae"),
        ("ppca", "rhvae"),
        ("ppca", "vae"),
    }


def test_errors_and_p_values_by_hand(several, published):
    """Two conditions of three runs on four participants of each diagnosis."""
    labels = numpy.repeat([True, False], 4)
    ours = numpy.array([[1, 1, 1, 0, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 0, 0]])
    real = numpy.array([[1, 0, 0, 0, 1, 1, 1, 0], [1, 1, 0, 0, 0, 1, 1, 1], [0, 1, 0, 0, 1, 1, 1, 1]])
    conditions = several.conditions[several.conditions["training_set"] == "train-50"]
    chosen = conditions[conditions["generator"].isin(["none", "rhvae"])]
    chosen = chosen[chosen["training_data"].isin(["real", "augmented"])].reset_index(drop=True)
    right = numpy.stack([real if data == "real" else ours for data in chosen["training_data"]])
    probabilities = numpy.where(right == labels, 0.9, 0.1)  # right where it is 1
    study = replace(
        several,
        conditions=chosen,
        labels=labels,
        probabilities=probabilities,
        seeds=numpy.arange(3),
        image_ids=[f"image-{number}" for number in range(8)],
    )
    row = where(compare(study, published), metric="sensitivity").iloc[0]
    assert row["difference_percent"] == pytest.approx(100 * (9 / 12 - 4 / 12), abs=1e-3)
    # over participants: the means over the runs differ by 1/3, 1/3, 2/3 and 1/3; variance 1/36, of four
    # over runs: 3/4, 2/4, 4/4 and 1/4, 2/4, 1/4; variances 1/16 and 1/48, of three
    participants, runs = 1 / 36 / 4, (1 / 16 + 1 / 48) / 3
    pairs = 0.0  # the mean squares of what rows and columns leave, of both conditions
    for results in (ours[:, :4], real[:, :4]):
        rest = results - results.mean(0) - results.mean(1)[:, None] + results.mean()
        pairs += (rest**2).sum() / (2 * 3) / 12
    total = max(participants + runs - pairs, pairs)
    assert row["se_percent"] == pytest.approx(100 * total**0.5, abs=1e-3)


def test_the_second_test_is_delongs_for_the_area_and_a_permutation_test_for_all_others(several, published):
    table = compare(several, published, n_permutations=19)
    of_area = table["metric"] == "auc"
    assert set(table.loc[of_area, "participants_test"]) == {"DeLong"}
    assert set(table.loc[~of_area, "participants_test"]) == {"permutation"}
    # of a permutation test with 19 permutations p is a twentieth; DeLong's is continuous
    twentieths = (20 * table["p_participants"]).round(9) % 1 == 0
    assert twentieths[~of_area].all()
    assert not twentieths[of_area].all()
    # DeLong's by his own formula: areas, and the covariance of the placements of both conditions
    row = table[of_area & (table["reference"] == "real")].iloc[0]
    names = several.conditions
    same = {"training_set": row["training_set"], "resolution": row["resolution"]}
    place = [
        where(names, **same, training_data=data, generator=generator).index[0]
        for data, generator in ((row["training_data"], row["generator"]), ("real", "none"))
    ]
    placements = []
    for one in place:
        runs = several.probabilities[one]
        positive, negative = runs[:, several.labels], runs[:, ~several.labels]
        above = (positive[:, :, None] > negative[:, None]) + 0.5 * (positive[:, :, None] == negative[:, None])
        placements.append((above.mean(axis=(0, 2)), above.mean(axis=(0, 1))))
    ad, cn = (placements[0][kind] - placements[1][kind] for kind in (0, 1))
    error = (ad.var(ddof=1) / len(ad) + cn.var(ddof=1) / len(cn)) ** 0.5
    assert row["p_participants"] == pytest.approx(2 * stats.norm.sf(abs(ad.mean()) / error), rel=1e-6)


def test_no_p_value_depends_on_the_numbers_of_the_runs(several, published):
    random = numpy.random.default_rng(5)
    mixed = numpy.stack([one[random.permutation(len(one))] for one in several.probabilities])
    before, after = compare(several, published), compare(replace(several, probabilities=mixed), published)
    columns = ["difference_percent", "se_percent", "p_value", "p_holm", "p_participants"]
    pandas.testing.assert_frame_equal(after[columns], before[columns], rtol=1e-9, atol=1e-4)


def test_flags_of_a_generator_stand_beside_all_that_is_compared_of_it(several, published):
    flags = pandas.DataFrame(
        [("vae", "train-50", "CN: covers none")], columns=["generator", "training_set", "flags"]
    )
    resampled = estimate_performance([several], 100, 0.95, 3).resampled
    table = compare_conditions([several], resampled, published, **OPTIONS, flags=flags)
    flagged = (table["generator"] == "vae") & (table["training_set"] == "train-50")
    assert set(table.loc[flagged, "flags"]) == {"CN: covers none"}
    assert table.loc[~flagged, "flags"].isna().all()
    assert list_doubts(table) == ["vae on train-50: CN: covers none"]
    assert list_doubts(table[~flagged]) == list_doubts(table.iloc[:0]) == []


def with_replicates(sets, published, n_replicates, redraws=False):
    """Compare with six runs, of so many replicates; those of a replicate give nearly the same."""
    random = numpy.random.default_rng(5)
    adni = sets[0]
    shape = (len(adni.conditions), 6, len(adni.labels))
    shared = random.normal(scale=0.5, size=(shape[0], 3, 1))[:, numpy.arange(6) % 3]
    score = numpy.where(adni.labels, 0.7, -0.7) * (1 + shared) + random.normal(scale=0.3, size=shape)
    made = replace(
        adni,
        seeds=numpy.arange(6),
        probabilities=1 / (1 + numpy.exp(-score)),
        n_replicates=n_replicates,
        redraws=redraws,
    )
    estimates = estimate_performance([made], 300, 0.95, 3)
    return made, estimates, compare_conditions([made], estimates.resampled, published, **OPTIONS)


KEY = {"architecture": "baseline", "training_set": "train-50", "resolution": "downsampled"}


def test_runs_of_one_generator_count_as_one_in_intervals_and_tests(sets, published):
    made, estimates, table = with_replicates(sets, published, 3)
    row = where(table, **KEY, training_data="augmented", metric="balanced_accuracy").iloc[0]
    names = made.conditions
    place, real = (where(names, **KEY, training_data=name).index[0] for name in ("augmented", "real"))
    results = outcomes(made.labels, made.probabilities[place], "balanced_accuracy")
    by_generator = (results[:3] + results[3:]) / 2
    of_real = outcomes(made.labels, made.probabilities[real], "balanced_accuracy")
    parts = split_variance(made.labels, by_generator, "balanced_accuracy", of_real)
    assert parts.n_runs == (3, 6)
    assert row["se_percent"] == pytest.approx(100 * numpy.sqrt(parts.total), abs=1e-4)
    assert row["n_replicates"] == 3
    assert row["interval_leaves_out"] == "other draws of train-50"
    # counting the six runs as independent would claim more
    *_, single = with_replicates(sets, published, 1)
    claimed = where(single, **KEY, training_data="augmented", metric="balanced_accuracy").iloc[0]
    assert claimed["se_percent"] < row["se_percent"]
    assert claimed["p_value"] < row["p_value"]
    assert claimed["interval_leaves_out"] == "other models of the generator; other draws of train-50"
    own = where(estimates.table, **KEY, training_data="augmented", metric="sensitivity").iloc[0]
    between = 100 * results[:, made.labels].mean(axis=1).reshape(2, 3).mean(axis=0)
    assert 0 < own["se_replicates_percent"] <= own["se_seeds_percent"]
    assert own["se_seeds_percent"] == pytest.approx(between.std(ddof=1) / numpy.sqrt(3), abs=1e-3)
    assert own["se_AD_percent"] == own["se_participants_percent"]
    assert own["se_CN_percent"] == 0
    of_reals = where(estimates.table, **KEY, training_data="real")
    assert (of_reals["n_replicates"] == 1).all()
    assert of_reals["se_replicates_percent"].isna().all()


def outcomes_of(made, key, data, metric):
    place = where(made.conditions, **key, training_data=data).index[0]
    return outcomes(made.labels, made.probabilities[place], metric)


def test_draws_of_a_training_set_that_conditions_have_in_common_are_paired(sets, published):
    made, _, table = with_replicates(sets, published, 3, redraws=True)
    metric = "specificity"
    row = where(table, **KEY, training_data="augmented", metric=metric).iloc[0]
    one, real = (outcomes_of(made, KEY, name, metric) for name in ("augmented", "real"))
    difference = ((one - real)[:3] + (one - real)[3:]) / 2
    total = split_variance(made.labels, difference, metric).total
    assert row["se_percent"] == pytest.approx(100 * numpy.sqrt(total), abs=1e-4)
    assert row["interval_leaves_out"] is None
    # train-full is the same for all, so that its real images have no replicates
    full = KEY | {"training_set": "train-full"}
    row = where(table, **full, training_data="augmented", metric=metric).iloc[0]
    one, real = (outcomes_of(made, full, name, metric) for name in ("augmented", "real"))
    total = split_variance(made.labels, (one[:3] + one[3:]) / 2, metric, real).total
    assert row["se_percent"] == pytest.approx(100 * numpy.sqrt(total), abs=1e-4)


PRIMARY = KEY | {"training_data": "augmented", "generator": "rhvae", "n_synthetic": 500, "reference": "real"}


def test_the_primary_test_is_one_and_is_no_part_of_the_other_families(sets, published, table):
    resampled = estimate_performance(sets, 300, 0.95, 3).resampled
    primary = PRIMARY | {"test_cohort": "ADNI", "metric": "balanced_accuracy"}
    chosen = compare_conditions(sets, resampled, published, **OPTIONS, primary=primary)
    is_primary = chosen["role"] == "primary"
    assert chosen[is_primary][[*primary]].to_dict("records") == [primary]
    assert chosen[is_primary]["n_tests"].tolist() == [1]
    assert (chosen[is_primary]["p_holm"] == chosen[is_primary]["p_value"]).all()
    assert set(table["role"]) == {"secondary"}
    family = (table["test_cohort"] == "ADNI") & (table["metric"] == "balanced_accuracy")
    assert set(chosen[family & ~is_primary]["n_tests"]) == {7}
    assert set(chosen[~family]["n_tests"]) == set(table["n_tests"]) == {8}
    rest = chosen[family & ~is_primary]
    numpy.testing.assert_allclose(rest["p_holm"], holm(rest["p_value"]))
    columns = [name for name in table if name not in ("role", "n_tests", "p_holm", "p_benjamini_hochberg")]
    pandas.testing.assert_frame_equal(chosen[columns], table[columns])


def test_the_primary_test_has_the_reference_that_it_names(several, published):
    key = {"architecture": "baseline", "training_set": "train-50", "resolution": "downsampled"}
    primary = key | {"training_data": "augmented", "generator": "rhvae", "n_synthetic": 500}
    primary |= {"reference": "vae", "test_cohort": "ADNI", "metric": "balanced_accuracy"}
    usual, chosen = compare(several, published), compare(several, published, primary=primary)
    row = chosen[chosen["role"] == "primary"].iloc[0]
    assert row[[*primary]].to_dict() == primary
    turned = where(usual, **primary | {"generator": "vae", "reference": "rhvae"}).iloc[0]
    assert row["difference_percent"] == -turned["difference_percent"]
    assert row["p_value"] == pytest.approx(turned["p_value"])
    assert (row["low_percent"], row["high_percent"]) == pytest.approx(
        (-turned["high_percent"], -turned["low_percent"])
    )
    assert len(chosen) == len(usual)


def test_without_real_images_there_is_nothing_to_compare(tmp_path, published):
    files = write_predictions(tmp_path, grid=GRID | {"training_data": ["synthetic"]})
    sets = [each for each in read_predictions(files) if each.set == "test"]
    table = compare_conditions(sets, estimate_performance(sets, 100, 0.95, 3).resampled, published, **OPTIONS)
    assert table.empty
    assert tuple(table.columns) == COMPARISON_COLUMNS


def test_with_one_participant_of_a_diagnosis_there_are_means_and_no_intervals(sets, published):
    adni = sets[0]
    rows = numpy.r_[numpy.flatnonzero(adni.labels)[:1], numpy.flatnonzero(~adni.labels)[:1]]
    few = [replace(adni, labels=adni.labels[rows], probabilities=adni.probabilities[:, :, rows])]
    estimates = estimate_performance(few, 50, 0.95, 3)
    assert estimates.table["mean_percent"].notna().all()
    compared = compare_conditions(few, estimates.resampled, published, **OPTIONS)
    accuracy = compared[compared["metric"] == "balanced_accuracy"]
    assert accuracy["difference_percent"].notna().all()
    for table in (estimates.table, compared):
        shown = table[table["metric"] == "balanced_accuracy"]
        assert shown[["low_percent", "high_percent", "se_percent"]].isna().all(axis=None)
    assert accuracy[["p_value", "p_holm"]].isna().all(axis=None)
