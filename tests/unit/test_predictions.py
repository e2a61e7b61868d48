import numpy
import pandas
import pytest
from made_up_runs import SETS, make_predictions, write_predictions

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.statistics.conditions import data_label, describe, list_generators, ordered, sort_rows
from rhvae_mri.statistics.metrics import METRICS, metrics_by_run
from rhvae_mri.statistics.predictions import (
    PREDICTION_COLUMNS,
    RUN_COLUMNS,
    prediction_table,
    read_predictions,
    tabulate_runs,
)

REAL = {"architecture": "baseline", "training_set": "train-full", "training_data": "real"}
REAL |= {"generator": "none", "n_synthetic": 0, "resolution": "downsampled"}
AUGMENTED = REAL | {"training_data": "augmented", "generator": "rhvae", "n_synthetic": "500"}


def predictions(condition=REAL, seed=0, cohort="ADNI", part="test", n=6):
    random = numpy.random.default_rng([seed, n])
    images = [f"sub-{cohort}{i:03d}_ses-M000" for i in range(n)]
    return prediction_table(condition, seed, cohort, part, images, [1, 0] * (n // 2), random.random(n))


@pytest.fixture
def read(tmp_path):
    """Read tables as the predictions of a study, each from a file of its own."""

    def read_tables(*tables, seeds=None):
        paths = [tmp_path / f"{number}.tsv" for number in range(len(tables))]
        for path, table in zip(paths, tables, strict=True):
            write_tsv(path, table)
        return read_predictions(paths, seeds)

    return read_tables


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_predictions(tmp_path_factory.mktemp("predictions"))


def test_a_table_of_predictions_has_the_contract_s_columns():
    table = predictions(AUGMENTED, seed=3, cohort="AIBL")
    assert tuple(table.columns) == PREDICTION_COLUMNS
    assert table["n_synthetic"].tolist() == [500] * 6
    assert table["seed"].tolist() == [3] * 6
    assert table["label"].tolist() == [1, 0] * 3
    assert table["image_id"].iloc[1] == "sub-AIBL001_ses-M000"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"condition": {"architecture": "baseline"}}, "lacks training_set, training_data"),
        ({"condition": REAL | {"n_synthetic": 5}}, "training data are real, but n_synthetic is 5"),
        ({"condition": AUGMENTED | {"n_synthetic": 0}}, "are augmented, but n_synthetic is 0"),
        ({"condition": AUGMENTED | {"generator": "none"}}, "are augmented, but generator is none"),
        ({"condition": REAL | {"generator": "vae"}}, "training data are real, but generator is vae"),
        (
            {"condition": AUGMENTED | {"training_data": "classic"}},
            "training data are classic, but n_synthetic is 500",
        ),
        ({"image_ids": ["a", "a"]}, "predicted more than once: a"),
        ({"image_ids": ["a"]}, "1 images for 2 labels"),
        ({"probabilities": [0.1, numpy.nan]}, "seed 7"),
    ],
)
def test_bad_predictions_are_refused(change, message):
    arguments = {"condition": REAL, "seed": 7, "test_cohort": "ADNI", "set": "test"}
    arguments |= {"image_ids": ["a", "b"], "labels": [0, 1], "probabilities": [0.1, 0.2]}
    with pytest.raises(StudyError) as error:
        prediction_table(**arguments | change)
    assert message in str(error.value)


def test_the_arrays_hold_every_probability_at_its_place(files):
    sets = {(each.test_cohort, each.set): each for each in read_predictions(reversed(files))}
    assert list(sets) == [("ADNI", "validation"), ("ADNI", "test"), ("AIBL", "test")]
    for key, each in sets.items():
        assert each.probabilities.shape == (16, 3, sum(SETS[key]))
        assert each.labels.sum() == SETS[key][0]
        for condition, table in make_predictions():
            same = (each.conditions == pandas.Series(condition)).all(axis=1)
            place = int(numpy.flatnonzero(same)[0])
            rows = table[(table["test_cohort"] == key[0]) & (table["set"] == key[1])]
            wide = rows.pivot_table(index="seed", columns="image_id", values="probability")
            numpy.testing.assert_array_equal(each.probabilities[place], wide.loc[each.seeds, each.image_ids])
    first = sets["ADNI", "test"].conditions.iloc[:2]
    assert first["resolution"].tolist() == ["full", "downsampled"]  # the order of the paper's tables


def test_runs_hold_every_metric_of_every_run_whatever_the_order_of_the_input(read, tmp_path):
    parts = [("ADNI", "validation"), ("ADNI", "test"), ("AIBL", "test")]
    tables = [predictions(c, s, *part) for c in (REAL, AUGMENTED) for s in range(3) for part in parts]
    runs = tabulate_runs(read(*tables, seeds=range(3)))
    pandas.testing.assert_frame_equal(tabulate_runs(read(pandas.concat(tables[::-1]))), runs)
    assert tuple(runs.columns) == RUN_COLUMNS
    assert len(runs) == len(tables) * len(METRICS)
    assert runs["seed"].tolist()[:12] == [0] * 12
    assert runs["training_data"].tolist() == ["real"] * 36 + ["augmented"] * 36
    assert runs["metric"].tolist()[:4] == list(METRICS)
    names = ["training_data", "seed", "test_cohort", "set"]
    for table in tables:
        rows = runs[(runs[names] == table.iloc[0][names]).all(axis=1)]
        expected = metrics_by_run(table["label"], table["probability"])
        found = dict(zip(rows["metric"], rows["value_percent"] / 100, strict=True))
        assert found == pytest.approx(expected)
        assert set(rows["n_AD"]) == set(rows["n_CN"]) == {3}
    write_tsv(tmp_path / "runs.tsv", runs)
    pandas.testing.assert_frame_equal(read_tsv(tmp_path / "runs.tsv"), runs)


def test_an_absent_class_gives_n_a_and_not_a_number(read, tmp_path):
    table = predictions()
    runs = tabulate_runs(read(table[table["label"] == 1]))
    values = runs.set_index("metric")["value_percent"]
    assert (set(runs["n_AD"]), set(runs["n_CN"])) == ({3}, {0})
    assert values[values.isna()].index.tolist() == ["specificity", "balanced_accuracy", "auc"]
    write_tsv(tmp_path / "runs.tsv", runs)
    assert (tmp_path / "runs.tsv").read_text().count("n/a") == 3


def test_missing_and_unknown_seeds_are_named(read):
    tables = [predictions(REAL, s) for s in (0, 1, 2)] + [predictions(AUGMENTED, s) for s in (0, 2)]
    with pytest.raises(StudyError) as error:
        read(*tables)
    assert "train-full, 500 synthetic + real, ADNI test: no seeds 1." in str(error.value)
    assert "train-full, real, ADNI" not in str(error.value)
    with pytest.raises(StudyError, match=r"real, ADNI test: no seeds 3; .*unknown seeds 1, 2"):
        read(*tables[:3], seeds=[0, 3])


def test_a_set_that_one_condition_lacks_is_named(read):
    with pytest.raises(StudyError, match=r"500 synthetic \+ real, AIBL test: no seeds 0"):
        read(predictions(REAL, 0), predictions(REAL, 0, "AIBL"), predictions(AUGMENTED, 0))


def test_a_run_that_is_there_twice_is_named(read):
    with pytest.raises(StudyError, match="more than once: baseline network on train-full, real, seed 4"):
        read(predictions(seed=4), predictions(seed=5), predictions(seed=4))
    with pytest.raises(StudyError, match="predicted more than once: sub-ADNI000_ses-M000"):
        read(pandas.concat([predictions(seed=4)] * 2))


@pytest.mark.parametrize(
    ("spoil", "images"),
    [
        (
            lambda t: t.replace({"image_id": {"sub-ADNI001_ses-M000": "sub-ADNI999_ses-M000"}}),
            "sub-ADNI001_ses-M000, sub-ADNI999_ses-M000",
        ),
        (lambda t: t.assign(label=t["label"].where(t.index != 2, 0)), "sub-ADNI002_ses-M000"),
        (lambda t: t.drop(index=5), "sub-ADNI005_ses-M000"),
    ],
)
@pytest.mark.parametrize("other", [(AUGMENTED, 0), (REAL, 1)])
def test_runs_on_different_images_are_refused(read, spoil, images, other):
    with pytest.raises(StudyError, match=f"the same images or labels: {images}\\.") as error:
        read(predictions(), spoil(predictions(*other)), seeds={0, other[1]})
    assert error.value.where.count("baseline network on train-full") == 2


def test_tables_that_are_not_predictions_are_refused(read):
    with pytest.raises(StudyError, match="lacks the columns seed, label") as error:
        read(predictions().drop(columns=["label", "seed"]))
    assert str(error.value.where).endswith("0.tsv")
    with pytest.raises(StudyError, match="empty cells in the columns probability"):
        read(predictions().assign(probability=numpy.nan))
    with pytest.raises(StudyError, match="6 of 6 probabilities"):
        read(predictions().assign(probability=2.0))
    with pytest.raises(StudyError, match="no predictions"):
        read()


def test_order_and_labels_are_the_paper_s():
    sets = ["train-full", "train-8", "train-50"]
    assert ordered("training_set", sets) == ["train-8", "train-50", "train-full"]
    names = ["searched", "optimized", "baseline"]
    assert ordered("architecture", names) == ["baseline", "optimized", "searched"]
    assert ordered("n_synthetic", [10000, 500, 2000, 500]) == [500, 2000, 10000]
    generators = ["ours", "class_mean", "vae", "a", "rhvae", "jitter", "none", "ppca"]
    known = ["none", "class_mean", "jitter", "rhvae", "vae", "ppca"]
    assert ordered("generator", generators) == [*known, "a", "ours"]
    assert data_label("synthetic", "rhvae", 3000, "downsampled") == "3,000 synthetic"
    assert data_label("mixed", "none", 0, "full") == "mixed (high resolution)"
    assert data_label("classic", "none", 0, "downsampled") == "real, classic augmentation"


def test_labels_name_generators_where_they_are_to_and_never_for_real_images():
    assert data_label("synthetic", "vae", 1000, "downsampled", named=True) == "1,000 synthetic (vae)"
    assert data_label("augmented", "rhvae", 10, "downsampled", named=True) == "10 synthetic + real (rhvae)"
    assert data_label("real", "none", 0, "full", named=True) == "real (high resolution)"
    one = pandas.DataFrame({"generator": ["vae", "none", "vae"]})
    assert list_generators(one) == ["vae"]
    assert list_generators(pandas.concat([one, one.replace("vae", "rhvae")])) == ["rhvae", "vae"]


def test_messages_name_every_generator_but_the_study_s_own():
    row = AUGMENTED | {"n_synthetic": 500}
    assert describe(row) == "baseline network on train-full, 500 synthetic + real"
    assert (
        describe(row | {"generator": "vae"}) == "baseline network on train-full, 500 synthetic + real (vae)"
    )
    assert describe(REAL) == "baseline network on train-full, real"


def test_rows_are_sorted_by_generator_within_the_kind_of_data():
    rows = [("real", "none", 0, "full"), ("real", "none", 0, "downsampled")]
    rows += [
        (kind, generator, size, "downsampled")
        for kind in ("synthetic", "augmented")
        for generator in ("rhvae", "vae", "mine")
        for size in (20, 100)
    ]
    table = pandas.DataFrame(rows, columns=["training_data", "generator", "n_synthetic", "resolution"])
    pandas.testing.assert_frame_equal(sort_rows(table.sample(frac=1, random_state=1)), table)
