"""Temperature scaling against scikit-learn's."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from sperm_tf.decision import temperature


def draw(count=400, seed=0, sharpness=3.0, num_classes=3):
    """Logits that are `sharpness` times those that would be calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, num_classes)) * 1.5
    labels = np.array([rng.choice(num_classes, p=row) for row in np.exp(log_softmax(logits, axis=1))])
    return sharpness * logits, labels


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_it_is_scikit_learns_temperature_of_platts_targets(sharpness):
    logits, labels = draw(sharpness=sharpness)
    count, num_classes = logits.shape
    network = LogisticRegression()  # whose decision function hands the logits on
    network.classes_ = np.arange(num_classes)
    network.coef_, network.intercept_ = np.eye(num_classes), np.zeros(num_classes)
    # Every image once for each class, weighted by its target.
    weights = (1 + count * np.eye(num_classes)[labels]) / (count + num_classes)
    reference = CalibratedClassifierCV(FrozenEstimator(network), method="temperature", ensemble=False)
    reference.fit(np.repeat(logits, num_classes, axis=0), np.tile(network.classes_, count), weights.ravel())
    scaled = temperature.scale(logits, temperature.fit_temperature(logits, labels))
    np.testing.assert_allclose(scaled, reference.predict_proba(logits), atol=2e-4)


def test_it_finds_the_temperature_that_the_labels_were_drawn_with():
    logits, labels = draw(count=20_000, sharpness=2.5)
    assert temperature.fit_temperature(logits, labels) == pytest.approx(2.5, rel=0.05)


def test_logs_of_probabilities_will_do():
    logits, labels = draw()
    shifted = temperature.fit_temperature(log_softmax(logits, axis=1), labels)
    assert shifted == pytest.approx(temperature.fit_temperature(logits, labels), rel=1e-5)


def test_images_that_are_all_right_ask_for_no_certainty():
    logits = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]] * 5)
    fitted = temperature.fit_temperature(logits, logits.argmax(axis=1))
    # 16 of 18 is what Platt's targets say of fifteen right answers.
    assert temperature.scale(logits, fitted).max() == pytest.approx(16 / 18, abs=1e-4)


def test_the_order_of_the_classes_stays():
    logits, _ = draw()
    scaled = temperature.scale(logits, 4.2)
    np.testing.assert_array_equal(np.argsort(scaled, axis=1), np.argsort(logits, axis=1))
    np.testing.assert_allclose(scaled.sum(axis=1), 1)


def test_no_image_changes_nothing_and_bad_ones_are_explained():
    assert temperature.fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1
    with pytest.raises(ValueError, match=r"Received: shapes \(2, 3\) and \(3,\)"):
        temperature.fit_temperature(np.zeros((2, 3)), np.zeros(3, int))
    with pytest.raises(ValueError, match="NaN or infinity"):
        temperature.fit_temperature(np.array([[-np.inf, 0.0]]), np.array([1]))
