import numpy
import pandas
import pytest

from rhvae_mri.quality.definitions import METRICS
from rhvae_mri.quality.outliers import MINIMUM_IMAGES, flag_outliers, robust_scores


def cohort(n=40, **columns):
    """Metrics of good images, with given columns in place of the drawn ones."""
    random = numpy.random.default_rng(0)
    table = {}
    for metric in METRICS:
        spread = max(metric.smallest_spread, 0.02)
        values = 2 + spread * random.standard_normal(n)
        table[metric.name] = numpy.exp(values) if metric.logarithmic else values
    return pandas.DataFrame({**table, **columns})


def test_scores_are_distances_from_the_median_in_robust_deviations():
    values = numpy.r_[numpy.arange(1.0, 12.0), numpy.nan]  # median 6, median absolute deviation 3
    scores = robust_scores(cohort(12, cnr=values))["cnr"]
    assert scores[10] == pytest.approx(5 / (1.4826 * 3))
    assert numpy.isnan(scores[11])


def test_one_bad_image_does_not_hide_another():
    table = cohort()
    table.loc[3, "similarity"], table.loc[4, "similarity"] = 0.1, -30
    flags = flag_outliers(table, 6)
    assert flags.notna().tolist() == [row in (3, 4) for row in range(len(table))]
    score = robust_scores(table).loc[3, "similarity"]
    assert flags[3] == f"similarity 0.1 (robust z {score:.1f})"


@pytest.mark.parametrize("metric", [metric for metric in METRICS if metric.bad], ids=lambda m: m.name)
def test_only_the_bad_direction_is_flagged(metric):
    for direction, word in ((-1, "low"), (1, "high")):
        table = cohort()
        step = direction * 50 * max(metric.smallest_spread, 0.02)
        good = table.loc[0, metric.name]
        table.loc[7, metric.name] = good * numpy.exp(step) if metric.logarithmic else good + step
        flags = flag_outliers(table, 6).dropna()
        expected = [7] if metric.bad in (word, "both") else []
        assert flags.index.tolist() == expected
        for text in flags:
            assert text.startswith(f"{metric.name} ")
            assert f"(robust z {'+' if direction > 0 else '-'}" in text


def test_several_outliers_of_an_image_are_named_in_the_order_of_the_table():
    table = cohort()
    table.loc[0, ["mask_overlap", "scale", "snr"]] = [0.2, 9, 0.01]
    names = [part.split(" ")[0] for part in flag_outliers(table, 6)[0].split("; ")]
    assert names == ["mask_overlap", "snr", "scale"]


def test_equal_values_are_no_outliers_and_a_real_difference_from_them_is_one():
    table = cohort(zero_fraction=numpy.r_[0.3, 0.004, numpy.zeros(38)])
    flags = flag_outliers(table, 6)
    assert flags[0] == "zero_fraction 0.3 (robust z +60.0)"
    assert flags[1:].isna().all()


def test_values_without_a_logarithm_are_far_below_all_others():
    flags = flag_outliers(cohort(snr=numpy.r_[0.0, numpy.full(39, 30.0)]), 6)
    assert flags[0].startswith("snr 0 (robust z -")
    assert "inf" not in flags[0]


def test_few_images_say_nothing_of_outliers():
    table = cohort(MINIMUM_IMAGES)
    table.loc[0, "similarity"] = -5
    assert flag_outliers(table, 6)[0] is not None
    table.loc[1, "similarity"] = numpy.nan
    assert flag_outliers(table, 6).isna().all()
    assert flag_outliers(table[:0], 6).empty


def test_the_rows_keep_their_labels():
    table = cohort().set_index(pandas.Index([f"image{i}" for i in range(40)]))
    table.loc["image5", "cnr"] = -30
    assert flag_outliers(table, 6).dropna().index.tolist() == ["image5"]


def test_noise_is_compared_among_images_of_one_field_strength():
    snr = numpy.r_[numpy.linspace(19, 22, 12), numpy.linspace(40, 44, 28), 8.0, 21.0]
    table = cohort(42, snr=snr)
    assert flag_outliers(table, 6).notna().sum() > 10
    table["field_strength"] = [1.494] * 12 + [3.0] * 28 + [1.5, 3.0]
    assert flag_outliers(table, 6).dropna().index.tolist() == table.index[[40, 41]].tolist()
    table["field_strength"] = [7.0] * 2 + [3.0] * 38 + [7.0, None]  # too few of 7 T
    assert flag_outliers(table, 6).notna().sum() > 2
