"""Conformal sets against MAPIE, against counting, and against what they promise."""

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

from sperm_tf.config import SET_METHODS


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global conformal, keras
    import keras

    from sperm_tf.decision import conformal


class Answers(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose inputs are its answers."""

    def fit(self, x, y):
        return self

    def predict_proba(self, x):
        return np.asarray(x)

    def predict(self, x):
        return np.asarray(x).argmax(axis=1)

    def __sklearn_is_fitted__(self):
        return True

    def __init__(self):
        self.classes_ = np.arange(3)


def sets_of(*args, **kwargs):
    return keras.ops.convert_to_numpy(conformal.prediction_sets(*args, **kwargs))


def draw(count, seed=0, sharpness=1.5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    logits = sharpness * (np.eye(3)[labels] + rng.normal(size=(count, 3)))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.32])
@pytest.mark.parametrize("count", [21, 200, 237])
def test_lac_equals_mapies(alpha, count):
    held_out, labels = draw(count, seed=1)
    new, _ = draw(500, seed=2)
    reference = SplitConformalClassifier(Answers(), confidence_level=1 - alpha, conformity_score="lac", prefit=True)
    reference.conformalize(held_out, labels)
    _, expected = reference.predict_set(new)
    threshold = conformal.fit(held_out, labels, method="lac", alpha=alpha, class_conditional=False)
    sets = sets_of(new, threshold, method="lac")
    np.testing.assert_array_equal(sets, expected[:, :, 0])
    assert 0 < sets.mean() < 1


def test_aps_scores_add_up_what_is_at_least_as_probable():
    probabilities = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(conformal.scores(probabilities, "aps"), [[1.0, 0.5, 0.8], [0.9, 1.0, 0.8]])
    drawn, _ = draw(100)
    for row, result in zip(drawn, keras.ops.convert_to_numpy(conformal.scores(drawn, "aps")), strict=True):
        np.testing.assert_allclose(result, [row[row >= p].sum() for p in row])


@pytest.mark.simulation
@pytest.mark.parametrize("method", SET_METHODS)
def test_what_is_promised_is_kept_on_average(method):
    covered, covered_per_class = [], []
    for seed in range(400):
        probabilities, labels = draw(160, seed=seed)
        fitted, new = slice(0, 59), slice(59, None)
        rows = np.arange(101), labels[new]
        threshold = conformal.fit(
            probabilities[fitted], labels[fitted], method=method, alpha=0.1, class_conditional=False
        )
        covered.append(sets_of(probabilities[new], threshold, method=method)[rows].mean())
        thresholds = conformal.fit(
            probabilities[fitted], labels[fitted], method=method, alpha=0.1, class_conditional=True
        )
        sets = sets_of(probabilities[new], thresholds, method=method)
        covered_per_class.append([sets[rows][labels[new] == index].mean() for index in range(3)])
    assert 0.895 < np.mean(covered) < {"lac": 0.915, "aps": 0.94}[method]
    assert np.mean(covered_per_class, axis=0) == pytest.approx(0.925, abs=0.03)


def test_each_class_has_the_threshold_of_its_own_images():
    probabilities, labels = draw(300)
    thresholds = conformal.fit(probabilities, labels, method="lac", alpha=0.1, class_conditional=True)
    for index in range(3):
        own = labels == index
        assert (
            conformal.fit(probabilities[own], labels[own], method="lac", alpha=0.1, class_conditional=False)
            == thresholds[index]
        ).all()


@pytest.mark.parametrize(("count", "rank"), [(8, None), (9, 9), (10, 10), (19, 18), (99, 90)])
def test_the_rank_is_that_of_n_plus_one(count, rank):
    scores = np.random.default_rng(0).permutation(np.arange(1, count + 1))
    assert conformal.threshold(scores, 0.1) == (np.inf if rank is None else rank)


def test_too_few_images_promise_only_all_classes():
    probabilities, labels = draw(8)
    threshold = conformal.fit(probabilities, labels, method="aps", alpha=0.1, class_conditional=False)
    assert np.isinf(threshold).all() and sets_of(probabilities, threshold, method="aps").all()
    assert np.isinf(
        conformal.fit(np.zeros((0, 3)), np.zeros(0, int), method="lac", alpha=0.1, class_conditional=False)
    ).all()


def test_wrong_arguments_are_explained():
    probabilities, labels = draw(10)
    with pytest.raises(ValueError, match=r"method must be one of lac, aps\. Received: method='raps'"):
        conformal.scores(probabilities, "raps")
    with pytest.raises(ValueError, match=r"alpha must lie between 0 and 1\. Received: alpha=90"):
        conformal.fit(probabilities, labels, method="lac", alpha=90, class_conditional=False)
    with pytest.raises(ValueError, match=r"Received: shapes \(9,\) and \(10, 3\)"):
        conformal.fit(probabilities, labels[1:], method="lac", alpha=0.1, class_conditional=False)
