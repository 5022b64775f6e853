import numpy as np
import pytest
import sklearn.metrics

from sperm_tf.evaluation.metrics import classification


def draw(rng, *, num_rows=200, num_classes=4, levels=20, skill=4):
    """Labels and probabilities on a coarse grid, so that ties occur."""
    labels = rng.integers(num_classes, size=num_rows)
    scores = rng.integers(1, levels, size=(num_rows, num_classes)) + skill * np.eye(num_classes)[labels]
    return labels, scores / scores.sum(axis=1, keepdims=True)


def test_figures_equal_scikit_learns():
    rng = np.random.default_rng(0)
    labels, probabilities = draw(rng)
    predicted = classification.predict(probabilities)
    predicted[:7] = classification.NO_ANSWER
    figures = classification.figures_from_counts(classification.count_outcomes(labels, predicted, 4))
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(labels, predicted, labels=range(4))
    assert figures["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    np.testing.assert_allclose(figures["precision"], precision)
    np.testing.assert_allclose(figures["recall"], recall)
    np.testing.assert_allclose(figures["f1"], f1)
    macro = sklearn.metrics.f1_score(labels, predicted, labels=range(4), average="macro", zero_division=0)
    assert figures["macro_f1"] == pytest.approx(macro)


def test_absent_classes_are_undefined_and_count_as_zero_in_macro_f1():
    labels, predicted = np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1])
    figures = classification.figures_from_counts(classification.count_outcomes(labels, predicted, 3))
    np.testing.assert_array_equal(figures["recall"], [0.75, np.nan, np.nan])
    np.testing.assert_array_equal(figures["precision"], [1.0, 0.0, np.nan])
    expected = sklearn.metrics.f1_score(labels, predicted, labels=range(3), average="macro", zero_division=0)
    assert figures["macro_f1"] == pytest.approx(expected)


def test_leading_axes_are_independent_samples():
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 5, size=(6, 3, 4))
    together = classification.figures_from_counts(counts)
    for index, single in enumerate(counts):
        for name, value in classification.figures_from_counts(single).items():
            np.testing.assert_array_equal(together[name][index], value)


def test_auc_equals_scikit_learns_with_ties_and_weights():
    rng = np.random.default_rng(2)
    labels, probabilities = draw(rng, levels=4, skill=1)
    tied = np.intersect1d(probabilities[labels == 0, 0], probabilities[labels != 0, 0])
    assert len(tied) > 5  # of a positive and a negative
    weights = rng.integers(0, 4, size=(3, len(labels)))
    areas = classification.one_vs_rest_auc(labels, probabilities, weights)
    for sample in range(3):
        for index in range(4):
            expected = sklearn.metrics.roc_auc_score(
                labels == index, probabilities[:, index], sample_weight=weights[sample]
            )
            assert areas[sample, index] == pytest.approx(expected)
    unweighted = sklearn.metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert classification.one_vs_rest_auc(labels, probabilities).mean() == pytest.approx(unweighted)


def test_auc_is_undefined_without_positives_or_negatives():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]])
    np.testing.assert_array_equal(classification.one_vs_rest_auc(np.array([0, 0]), probabilities), [np.nan] * 3)
    assert np.isnan(classification.one_vs_rest_auc(np.array([], int), np.zeros((0, 3)))).all()


def test_rows_without_an_answer_predict_no_class():
    probabilities = [[0.2, 0.5, 0.3], [0.0, 0.0, 0.0], [np.nan, 0.5, 0.5], [0.4, 0.4, 0.2]]
    np.testing.assert_array_equal(
        classification.predict(np.array(probabilities)), [1, classification.NO_ANSWER, classification.NO_ANSWER, 0]
    )
