"""Decisions out of fold against the modules, fold by fold."""

import numpy as np
import pytest

from sperm_tf.config import CalibratorConfig
from sperm_tf.decision import selective
from sperm_tf.decision.temperature import fit_temperature, scale
from sperm_tf.evaluation.cross_validation import oof
from sperm_tf.evaluation.metrics import uncertainty
from tests.evaluation.cross_validation.oof_tables import make_table


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global conformal, oof_trust
    from sperm_tf.decision import conformal
    from sperm_tf.evaluation.cross_validation import oof_trust


NAMES = ("normal", "abnormal", "non-sperm")


def draw_table(num_images=600, seed=0):
    """Answers that are too sure of themselves."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=num_images)
    logits = 6 * (2.2 * np.eye(3)[labels] + rng.normal(size=(num_images, 3)))  # 2.2 would be calibrated
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return make_table(labels, probabilities, NAMES)


@pytest.fixture(scope="module")
def table():
    return draw_table()


def test_every_fold_is_decided_by_the_rule_of_the_other_folds(table):
    config = CalibratorConfig(max_risk=0.1)
    decided = oof_trust.decide(table, config)
    assert len(decided) == 600 and set(decided.decisions) == {"accept", "refer"}
    row_of = {image_id: row for row, image_id in enumerate(decided.image_ids)}
    for fold in range(5):
        answers = oof.select(table, part="test")
        aside, tested = answers[answers["fold"] != fold], answers[answers["fold"] == fold]
        degree = fit_temperature(np.log(oof.probabilities(aside)), oof.labels(aside))
        calibrated = scale(np.log(oof.probabilities(aside)), degree)
        thresholds = conformal.fit(calibrated, oof.labels(aside), method="lac", alpha=0.1, class_conditional=True)
        right = calibrated.argmax(axis=1) == oof.labels(aside)
        lowest = selective.guarantee(calibrated.max(axis=1), right, max_risk=0.1, delta=0.05).threshold
        rows = [row_of[image_id] for image_id in tested["image_id"]]
        expected = scale(np.log(oof.probabilities(tested)), degree)
        np.testing.assert_allclose(decided.probabilities[rows], expected, rtol=1e-4, atol=1e-7)
        accepted = np.array(decided.decisions)[rows] == "accept"
        np.testing.assert_array_equal(accepted, expected.max(axis=1) >= lowest)
        sets = (1 - expected <= thresholds) | (expected == expected.max(axis=1, keepdims=True))
        np.testing.assert_array_equal(decided.prediction_sets[rows], sets)


def test_what_is_promised_is_kept(table):
    figures = uncertainty.describe_trust(oof_trust.decide(table, CalibratorConfig(max_risk=0.1)), bootstrap_samples=100)
    raw = oof.select(table, part="test")
    confidence = oof.probabilities(raw).max(axis=1)
    too_sure = confidence.mean() - (oof.probabilities(raw).argmax(axis=1) == oof.labels(raw)).mean()
    assert figures["scores"]["ece"]["value"] < 0.05 < too_sure
    assert 0.86 < figures["sets"]["coverage"]["value"] < 0.96
    assert figures["selection"]["accuracy_of_accepted"]["value"] > 0.9


def test_a_probability_of_zero_is_survived(table):
    rounded = table.copy()
    first = rounded.index[0]
    rounded.loc[first, [f"p_{name}" for name in NAMES]] = [1.0, 0.0, 0.0]
    assert np.isfinite(oof_trust.decide(rounded, CalibratorConfig()).probabilities).all()


def test_a_repeat_with_a_missing_fold_is_refused(table):
    with pytest.raises(oof.OofError, match=r"all 5 folds\. Received: a table without fold 3"):
        oof_trust.decide(table[table["fold"] != 3], CalibratorConfig())


def test_too_few_calibration_images_refer_everything():
    decided = oof_trust.decide(draw_table(40), CalibratorConfig())
    assert set(decided.decisions) == {"refer"} and set(decided.reasons) == {"no_guarantee"}
