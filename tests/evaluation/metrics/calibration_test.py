"""Calibration figures against scikit-learn and against loops."""

import itertools

import numpy as np
import pytest
import sklearn.metrics
from sklearn.calibration import calibration_curve

from sperm_tf.evaluation.metrics import calibration


def draw(seed=0, num_rows=300, num_classes=3, sharpness=2.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=num_rows)
    logits = sharpness * (np.eye(num_classes)[labels] + rng.normal(size=(num_rows, num_classes)))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def ece_by_loop(probabilities, labels, edges):
    total = 0.0
    for low, high in itertools.pairwise(edges):
        rows = [
            (p.max(), float(p.argmax() == label))
            for p, label in zip(probabilities, labels, strict=True)
            if low < p.max() <= high or (low == edges[0] and p.max() == low)
        ]
        if rows:
            confidence, correct = np.mean(rows, axis=0)
            total += len(rows) / len(labels) * abs(confidence - correct)
    return total


def test_nll_equals_scikit_learns():
    probabilities, labels = draw()
    assert calibration.nll(probabilities, labels) == pytest.approx(sklearn.metrics.log_loss(labels, probabilities))


def test_a_certain_error_has_a_finite_nll_like_scikit_learns():
    probabilities, labels = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1, 0])
    expected = sklearn.metrics.log_loss(labels, probabilities)
    assert calibration.nll(probabilities, labels) == pytest.approx(expected)
    assert np.isfinite(expected)


def test_brier_is_the_sum_form():
    probabilities, labels = draw()
    expected = np.mean(
        [
            sum((p - (c == label)) ** 2 for c, p in enumerate(row))
            for row, label in zip(probabilities, labels, strict=True)
        ]
    )
    assert calibration.brier(probabilities, labels) == pytest.approx(expected)
    assert calibration.brier(np.array([[1.0, 0.0]]), np.array([1])) == 2
    two, binary = draw(num_classes=2)
    assert calibration.brier(two, binary) == pytest.approx(2 * sklearn.metrics.brier_score_loss(binary, two[:, 1]))


@pytest.mark.parametrize("bins", [5, 15])
def test_ece_of_equal_width_equals_a_loop(bins):
    probabilities, labels = draw(sharpness=1)  # calibrated: gaps of both signs, so that bins matter
    expected = ece_by_loop(probabilities, labels, np.linspace(0, 1, bins + 1))
    assert calibration.ece(probabilities, labels, bins=bins) == pytest.approx(expected)
    assert expected > 0.03


def test_ece_of_equal_mass_equals_a_loop():
    probabilities, labels = draw(sharpness=1)  # calibrated: gaps of both signs, so that bins matter
    edges = np.quantile(probabilities.max(axis=1), np.linspace(0, 1, 11))
    expected = ece_by_loop(probabilities, labels, edges)
    assert calibration.ece(probabilities, labels, bins=10, binning="mass") == pytest.approx(expected)
    assert expected != pytest.approx(calibration.ece(probabilities, labels, bins=10))


@pytest.mark.parametrize(("binning", "strategy"), [("width", "uniform"), ("mass", "quantile")])
def test_the_reliability_diagram_is_scikit_learns(binning, strategy):
    probabilities, labels = draw(num_rows=800)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    accuracies, confidences = calibration_curve(correct, confidence, n_bins=12, strategy=strategy)
    bins = calibration.reliability(probabilities, labels, bins=12, binning=binning)
    np.testing.assert_allclose([item["accuracy"] for item in bins], accuracies)
    np.testing.assert_allclose([item["confidence"] for item in bins], confidences)
    assert sum(item["count"] for item in bins) == 800
    gaps = [item["count"] / 800 * abs(item["accuracy"] - item["confidence"]) for item in bins]
    assert calibration.ece(probabilities, labels, bins=12, binning=binning) == pytest.approx(sum(gaps))


def test_a_confidence_on_an_edge_is_in_the_bin_below():
    probabilities, labels = np.array([[0.8, 0.2], [0.9, 0.1]]), np.array([1, 0])
    bins = calibration.reliability(probabilities, labels, bins=5)
    assert [item["confidence"] for item in bins] == [0.8, 0.9]
    assert calibration.ece(np.array([[1.0, 0.0]]), np.array([0])) == 0


@pytest.mark.parametrize("figure", [calibration.nll, calibration.brier])
def test_weights_count_images(figure):
    probabilities, labels = draw(num_rows=40)
    weights = np.random.default_rng(1).integers(0, 4, size=(3, 40)).astype(float)
    values = figure(probabilities, labels, weights)
    for value, one in zip(values, weights.astype(int), strict=True):
        rows = np.repeat(np.arange(40), one)
        assert value == pytest.approx(figure(probabilities[rows], labels[rows]))


def test_weights_count_images_in_the_bins_of_ece():
    probabilities, labels = draw(num_rows=60)
    weights = np.random.default_rng(1).integers(0, 4, size=(3, 60)).astype(float)
    values = calibration.ece(probabilities, labels, weights)
    for value, one in zip(values, weights.astype(int), strict=True):
        rows = np.repeat(np.arange(60), one)
        assert value == pytest.approx(calibration.ece(probabilities[rows], labels[rows]))


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.ones((0, 3)), np.zeros(0, int), "N at least 1"),
        (np.ones(3), np.zeros(3, int), r"must be \[N, C\]"),
        (np.ones((2, 3)) / 3, np.array([0, 3]), "labels must be 0-2"),
        (np.ones((2, 3)) / 3, np.array([0, -1]), "labels must be 0-2"),
    ],
)
def test_wrong_arguments_are_named(probabilities, labels, message):
    for figure in (calibration.nll, calibration.brier, calibration.ece, calibration.reliability):
        with pytest.raises(ValueError, match=message):
            figure(probabilities, labels)


def test_wrong_bins_are_named():
    probabilities, labels = draw(num_rows=5)
    with pytest.raises(ValueError, match="bins must be at least 1"):
        calibration.ece(probabilities, labels, bins=0)
    with pytest.raises(ValueError, match="binning must be one of width, mass"):
        calibration.ece(probabilities, labels, binning="equal")


@pytest.mark.simulation
@pytest.mark.parametrize("binning", ["width", "mass"])
def test_by_chance_is_the_mean_error_of_labels_drawn_from_the_probabilities(binning):
    rng = np.random.default_rng(7)
    probabilities = rng.dirichlet([4, 1, 1], 300)
    found = calibration.ece_by_chance(probabilities, samples=400, binning=binning)
    drawn = []
    for _ in range(400):
        labels = (rng.random((300, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
        drawn.append(calibration.ece(probabilities, labels, binning=binning))
    assert found == pytest.approx(np.mean(drawn), rel=0.06) and found > 0.02
    assert calibration.ece_by_chance(np.tile(probabilities, (16, 1)), samples=100) < found / 2
    assert calibration.ece_by_chance(np.eye(3), samples=5) == 0
