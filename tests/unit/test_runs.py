import numpy
import pandas
import pytest

from rhvae_mri.errors import StudyError
from rhvae_mri.evaluation.conditions import data_label, ordered
from rhvae_mri.evaluation.metrics import METRICS, classification_metrics
from rhvae_mri.evaluation.runs import PREDICTION_COLUMNS, RUN_COLUMNS, prediction_table, summarise_runs
from rhvae_mri.files import read_tsv, write_tsv

REAL = {
    "architecture": "baseline",
    "training_set": "train-full",
    "training_data": "real",
    "n_synthetic": 0,
    "resolution": "downsampled",
}
AUGMENTED = REAL | {"training_data": "augmented", "n_synthetic": "500"}


def predictions(condition=REAL, seed=0, cohort="ADNI", part="test", n=6):
    random = numpy.random.default_rng([seed, n])
    labels = [1, 0] * (n // 2)
    images = [f"sub-{cohort}{i:03d}_ses-M000" for i in range(n)]
    return prediction_table(condition, seed, cohort, part, images, labels, random.random(n))


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
    arguments = {
        "condition": REAL,
        "seed": 7,
        "test_cohort": "ADNI",
        "set": "test",
        "image_ids": ["a", "b"],
        "labels": [0, 1],
        "probabilities": [0.1, 0.2],
    }
    with pytest.raises(StudyError) as error:
        prediction_table(**arguments | change)
    assert message in str(error.value)


def test_runs_hold_every_metric_of_every_run(tmp_path):
    tables = [predictions(c, s) for c in (AUGMENTED, REAL) for s in (1, 0)]
    path = tmp_path / "predictions.tsv"
    write_tsv(path, pandas.concat(tables[:2]))
    runs = summarise_runs([path, *tables[2:]], seeds=[0, 1])
    assert tuple(runs.columns) == RUN_COLUMNS
    assert len(runs) == 2 * 2 * len(METRICS)
    for table in tables:
        first = table.iloc[0]
        rows = runs[(runs["training_data"] == first["training_data"]) & (runs["seed"] == first["seed"])]
        expected = classification_metrics(table["label"], table["probability"])
        found = dict(zip(rows["metric"], rows["value_percent"] / 100, strict=True))
        assert found == pytest.approx(expected)
        assert set(rows["n_AD"]) == {3}
        assert set(rows["n_CN"]) == {3}


def test_the_order_of_the_input_plays_no_part(tmp_path):
    parts = [("ADNI", "validation"), ("ADNI", "test"), ("AIBL", "test")]
    tables = [predictions(c, s, *part) for c in (REAL, AUGMENTED) for s in range(3) for part in parts]
    forward, backward = summarise_runs(tables), summarise_runs([pandas.concat(tables[::-1])])
    pandas.testing.assert_frame_equal(forward, backward)
    assert forward["seed"].tolist()[:12] == [0] * 12
    assert forward["training_data"].tolist() == ["real"] * 36 + ["augmented"] * 36
    assert forward["metric"].tolist()[:4] == list(METRICS)
    write_tsv(tmp_path / "runs.tsv", forward)
    pandas.testing.assert_frame_equal(read_tsv(tmp_path / "runs.tsv"), forward)


def test_an_absent_class_gives_n_a_and_not_a_number(tmp_path):
    table = predictions()
    runs = summarise_runs([table[table["label"] == 1]])
    values = runs.set_index("metric")["value_percent"]
    assert values.isna().to_dict() == {
        "sensitivity": False,
        "specificity": True,
        "balanced_accuracy": True,
        "auc": True,
    }
    write_tsv(tmp_path / "runs.tsv", runs)
    assert (tmp_path / "runs.tsv").read_text().count("n/a") == 3


def test_missing_and_unknown_seeds_are_named():
    tables = [predictions(REAL, s) for s in (0, 1, 2)] + [predictions(AUGMENTED, s) for s in (0, 2)]
    with pytest.raises(StudyError) as error:
        summarise_runs(tables)
    assert "train-full, 500 synthetic + real, ADNI test: no seeds 1." in str(error.value)
    assert "train-full, real, ADNI" not in str(error.value)
    with pytest.raises(StudyError, match=r"real, ADNI test: no seeds 3; .*unknown seeds 1, 2"):
        summarise_runs(tables[:3], seeds=[0, 3])


def test_a_set_that_one_condition_lacks_is_named():
    tables = [predictions(REAL, 0), predictions(REAL, 0, "AIBL"), predictions(AUGMENTED, 0)]
    with pytest.raises(StudyError, match=r"500 synthetic \+ real, AIBL test: no seeds 0"):
        summarise_runs(tables)


def test_a_run_in_two_files_is_named():
    with pytest.raises(StudyError, match="more than once: baseline network on train-full, real, seed 4"):
        summarise_runs([predictions(seed=4), predictions(seed=5), predictions(seed=4)])


def test_a_run_twice_in_one_file_is_named():
    with pytest.raises(StudyError, match="predicted more than once: sub-ADNI000_ses-M000"):
        summarise_runs([pandas.concat([predictions(seed=4)] * 2)])


def test_runs_on_different_images_are_refused():
    other = predictions(AUGMENTED).replace({"image_id": {"sub-ADNI001_ses-M000": "sub-ADNI999_ses-M000"}})
    with pytest.raises(StudyError, match="sub-ADNI001_ses-M000, sub-ADNI999_ses-M000"):
        summarise_runs([predictions(), other])


def test_tables_that_are_not_predictions_are_refused(tmp_path):
    path = tmp_path / "predictions.tsv"
    write_tsv(path, predictions().drop(columns=["label", "seed"]))
    with pytest.raises(StudyError) as error:
        summarise_runs([path])
    assert "lacks the columns seed, label" in str(error.value)
    assert str(path) in str(error.value)
    spoilt = predictions().assign(probability=numpy.nan)
    with pytest.raises(StudyError, match="empty cells in the columns probability"):
        summarise_runs([spoilt])
    with pytest.raises(StudyError, match="no predictions"):
        summarise_runs([])


def test_order_and_labels_are_the_paper_s():
    assert ordered("training_set", ["train-full", "train-8", "train-50"]) == [
        "train-8",
        "train-50",
        "train-full",
    ]
    assert ordered("architecture", ["searched", "optimized", "baseline"]) == [
        "baseline",
        "optimized",
        "searched",
    ]
    assert ordered("n_synthetic", [10000, 500, 2000, 500]) == [500, 2000, 10000]
    assert data_label("synthetic", 3000, "downsampled") == "3,000 synthetic"
    assert data_label("mixed", 0, "full") == "mixed (high resolution)"
    assert data_label("classic", 0, "downsampled") == "real, classic augmentation"
