"""A fitted rule keeps what it promises on images that it has not seen."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import sklearn.metrics

from sperm_tf.config import CalibratorConfig
from sperm_tf.decision import selective, temperature


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global conformal, Familiarity, fit_rule, keras, rule
    import keras

    from sperm_tf.decision import conformal, rule
    from sperm_tf.decision.familiarity import Familiarity
    from sperm_tf.decision.fitting import fit_rule


class Answers(NamedTuple):
    logits: np.ndarray
    features: np.ndarray
    labels: np.ndarray


def draw(count, seed, sharpness=2.5):
    """Answers that are too sure of themselves."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    logits = sharpness * (3 * np.eye(3)[labels] + rng.normal(size=(count, 3)) * 1.3)
    return Answers(logits, rng.normal(size=(count, 8)), labels)


def fit(calibration, training, config):
    familiarity = Familiarity.fit(training.features)
    measured = keras.ops.convert_to_numpy(familiarity.measure(calibration.features))
    return fit_rule(calibration.logits, calibration.labels, config, familiarity=familiarity, measured=measured)


def decide(fitted, answers):
    found = fitted.decide(answers.logits, answers.features)
    return {name: keras.ops.convert_to_numpy(value) for name, value in vars(found).items()}


def test_its_parts_are_those_of_the_modules():
    calibration = draw(400, 1)
    fitted = fit(calibration, draw(500, 2), CalibratorConfig(max_risk=0.08))
    degree = temperature.fit_temperature(calibration.logits, calibration.labels)
    probabilities = temperature.scale(calibration.logits, degree)
    assert fitted.temperature == degree > 1.3
    expected = conformal.fit(probabilities, calibration.labels, method="lac", alpha=0.1, class_conditional=True)
    np.testing.assert_allclose(fitted.set_thresholds, expected)
    right = probabilities.argmax(axis=1) == calibration.labels
    guarantee = selective.guarantee(probabilities.max(axis=1), right, max_risk=0.08, delta=0.05)
    assert fitted.min_confidence == guarantee.threshold < 1
    assert fitted.num_images == 400 and fitted.max_risk == 0.08
    answers = probabilities.argmax(axis=1)
    np.testing.assert_array_equal(fitted.confusion, sklearn.metrics.confusion_matrix(calibration.labels, answers))
    accepted = decide(fitted, calibration)["probabilities"].max(axis=1) >= guarantee.threshold
    expected = sklearn.metrics.confusion_matrix(calibration.labels[accepted], answers[accepted], labels=range(3))
    np.testing.assert_array_equal(fitted.confident, expected)
    assert 0 < np.sum(fitted.confident) < 400


@pytest.mark.simulation
def test_promises_hold_for_new_images():
    config = CalibratorConfig(max_risk=0.1)
    results = []
    for seed in range(30):
        fitted = fit(draw(300, 3 * seed), draw(400, 3 * seed + 1), config)
        new = draw(1000, 3 * seed + 2)
        found = decide(fitted, new)
        covered = found["prediction_set"][np.arange(1000), new.labels]
        accepted = found["reason"] == 0
        wrong = found["probabilities"].argmax(axis=1) != new.labels
        results.append(
            [*(covered[new.labels == c].mean() for c in range(3)), wrong[accepted].mean() <= 0.1, accepted.mean(),
             (found["reason"] == rule.REASONS.index(rule.UNFAMILIAR)).mean()]
        )  # fmt: skip
    *per_class, kept, accepted, unfamiliar = np.mean(results, axis=0)
    assert min(per_class) > 0.88 and kept > 0.9 and accepted > 0.5
    assert unfamiliar == pytest.approx(0.015, abs=0.01)


def test_another_method_and_one_promise_for_all_classes():
    calibration = draw(400, 1)
    config = CalibratorConfig(set_method="aps", class_conditional=False)
    fitted = fit(calibration, draw(300, 2), config)
    assert len(set(fitted.set_thresholds)) == 1 and fitted.set_method == "aps" and not fitted.class_conditional


def test_too_few_images_promise_nothing():
    fitted = fit(draw(12, 1), draw(100, 2), CalibratorConfig())
    assert math.isinf(fitted.min_confidence) and any(map(math.isinf, fitted.set_thresholds))
    assert (decide(fitted, draw(50, 3))["reason"] != 0).all()


def test_no_image_refers_everything():
    empty = Answers(np.zeros((0, 3)), np.zeros((0, 8)), np.zeros(0, int))
    fitted = fit(empty, draw(100, 2), CalibratorConfig())
    found = decide(fitted, draw(50, 3))
    assert found["prediction_set"].all() and set(found["reason"]) == {rule.REASONS.index(rule.NO_GUARANTEE)}
    assert fitted.temperature == 1


def test_a_class_that_no_calibration_image_shows_refers_everything():
    calibration = draw(600, 1)
    shown = calibration.labels != 2
    calibration = Answers(*(values[shown] for values in calibration))
    fitted = fit(calibration, draw(300, 2), CalibratorConfig(max_risk=0.2))
    assert fit(draw(600, 1), draw(300, 2), CalibratorConfig(max_risk=0.2)).min_confidence < 1
    assert math.isinf(fitted.min_confidence) and math.isinf(fitted.set_thresholds[2])
