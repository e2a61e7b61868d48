import math

import numpy
import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.metrics import METRICS, confusion_counts, metrics_by_run


@pytest.mark.parametrize("seed", range(20))
def test_metrics_are_those_of_scikit_learn(seed):
    from sklearn.metrics import balanced_accuracy_score, recall_score, roc_auc_score

    random = numpy.random.default_rng(seed)
    labels = numpy.concatenate([[0, 1], random.integers(0, 2, size=random.integers(3, 60))])
    probabilities = random.integers(0, 9, size=len(labels)) / 8  # many ties, some at 0.5
    found = metrics_by_run(labels, probabilities)
    assert tuple(found) == METRICS
    called = (probabilities > 0.5).astype(int)
    assert found["sensitivity"] == pytest.approx(recall_score(labels, called))
    assert found["specificity"] == pytest.approx(recall_score(labels, called, pos_label=0))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, called))
    assert found["auc"] == pytest.approx(roc_auc_score(labels, probabilities))


def test_counts_are_by_class_and_a_tie_is_called_cn():
    counts = confusion_counts([1, 1, 1, 0, 0, 0], [0.9, 0.5, 0.1, 0.5, 0.51, 0.2])
    assert counts == (1, 2, 2, 1)


@pytest.mark.parametrize(
    ("labels", "defined"), [([1, 1], {"sensitivity": 0.5}), ([0, 0], {"specificity": 0.5}), ([], {})]
)
def test_metrics_of_an_absent_class_are_nan(labels, defined):
    found = metrics_by_run(labels, [0.9, 0.1][: len(labels)])
    assert {name: value for name, value in found.items() if not math.isnan(value)} == defined


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([1, 0], [0.5], "2 labels for 1 probabilities"),
        ([1, 2], [0.5, 0.5], "but there is also 2"),
        ([1, 0], [0.5, numpy.nan], "1 of 2 probabilities"),
        ([1, 0], [1.5, -0.1], "2 of 2 probabilities"),
    ],
)
def test_bad_predictions_are_refused(labels, probabilities, message):
    with pytest.raises(StudyError, match=message):
        metrics_by_run(labels, probabilities)
