import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from sperm_tf.evaluation.fields.detection_metrics import METRICS, assign_folds, summarize_fields
from sperm_tf.evaluation.fields.matching import FieldCounts


def random_counts(rng, num_fields):
    counts = []
    for _ in range(num_fields):
        annotated, found = rng.integers(1, 12, 2)
        matched = int(rng.integers(0, min(annotated, found) + 1))
        counts.append(FieldCounts(int(annotated), int(found), matched, 0.8 * matched))
    return counts


def test_metrics_are_those_of_scikit_learn():
    counts = random_counts(np.random.default_rng(0), 30)
    truth, predicted = [], []
    for count in counts:
        missed, false = count.annotated - count.matched, count.found - count.matched
        truth += [1] * count.annotated + [0] * false
        predicted += [1] * count.matched + [0] * missed + [1] * false
    found = summarize_fields(counts, [index % 7 for index in range(30)], samples=200)
    assert found["precision"][0] == pytest.approx(precision_score(truth, predicted))
    assert found["recall"][0] == pytest.approx(recall_score(truth, predicted))
    assert found["f1"][0] == pytest.approx(f1_score(truth, predicted))
    assert found["count_error"][0] == pytest.approx(np.mean([abs(count.found - count.annotated) for count in counts]))
    assert found["mean_iou"][0] == pytest.approx(0.8)
    for name in METRICS:
        value, low, high = found[name]
        assert low <= value + 1e-9 and value <= high + 1e-9


def test_sessions_are_drawn_as_wholes():
    """Two kinds of sessions, alike inside: the interval is as wide as between sessions."""
    counts = [FieldCounts(10, 10, 10 if session % 2 else 5, 0.0) for session in range(10) for _ in range(50)]
    sessions = [session for session in range(10) for _ in range(50)]
    _, low, high = summarize_fields(counts, sessions)["recall"]
    assert high - low > 0.25
    _, low, high = summarize_fields(counts, list(range(500)))["recall"]
    assert high - low < 0.06


def test_too_few_sessions_have_no_interval():
    counts = random_counts(np.random.default_rng(0), 10)
    assert np.isnan(summarize_fields(counts, [0, 1] * 5)["f1"][1:]).all()


def test_folds_hold_whole_sessions_and_are_balanced():
    rng = np.random.default_rng(0)
    sessions = np.repeat(np.arange(22), rng.integers(1, 30, 22))
    folds = assign_folds(sessions.tolist())
    assert all(len(set(folds[sessions == session])) == 1 for session in range(22))
    sizes = np.bincount(folds)
    assert len(sizes) == 5 and sizes.max() - sizes.min() <= 5
    order = rng.permutation(len(sessions))
    np.testing.assert_array_equal(assign_folds(sessions[order].tolist()), folds[order])
