"""Figures of trust against counting and scikit-learn."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from sperm_tf.evaluation.metrics import intervals, predictions, uncertainty

NAMES = ("a", "b", "c")


def draw(count=240, seed=0, groups=None):
    """Answers of a model that is often right; every tenth row was not answered."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        label = int(rng.integers(3))
        probabilities = rng.dirichlet(0.6 + 3 * np.eye(3)[label])
        members = (probabilities > 0.2).tolist()
        row = {
            "image_id": f"{index:04d}",
            "group_id": f"{index // 2 if groups is None else groups[index]}",
            "label": label,
            "status": "ok",
            "probabilities": probabilities,
            "prediction_set": members,
            "decision": "accept" if probabilities.max() > 0.7 else "refer",
            "reason": "confident" if probabilities.max() > 0.7 else "uncertain",
            "unfamiliarity": 0.5,
        }
        if index % 10 == 9:
            nothing = {"probabilities": np.zeros(3), "prediction_set": [False] * 3, "decision": "refer"}
            row |= {"status": "undecodable", **nothing, "reason": "unreadable"}
        rows.append(row)
    return predictions.from_rows(rows, class_names=NAMES, split="test")


@pytest.fixture(scope="module")
def table():
    return draw()


@pytest.fixture(scope="module")
def figures(table):
    return uncertainty.describe_trust(table, bootstrap_samples=300)


def answered(table):
    return np.array([status == "ok" for status in table.statuses])


def test_scores_are_scikit_learns(table, figures):
    rows = answered(table)
    probabilities, labels = table.probabilities[rows].astype(np.float64), table.labels[rows]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert figures["num_answered"] == rows.sum() == 216
    assert figures["scores"]["nll"]["value"] == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
    brier = sum(brier_score_loss(labels == index, probabilities[:, index]) for index in range(3))
    assert figures["scores"]["brier"]["value"] == pytest.approx(brier, rel=1e-5)
    for score in figures["scores"].values():
        low, high = score["bootstrap_95"]
        assert low <= score["value"] <= high


def test_sets_are_counted(table, figures):
    rows = answered(table)
    sets, labels = table.prediction_sets[rows], table.labels[rows]
    covered = sets[np.arange(len(labels)), labels]
    assert figures["sets"]["coverage"]["value"] == pytest.approx(covered.mean())
    assert figures["sets"]["coverage"]["wilson_95"] == list(intervals.wilson(covered.sum(), len(covered)))
    assert figures["sets"]["mean_size"]["value"] == pytest.approx(sets.sum(axis=1).mean())
    assert sum(figures["sets"]["sizes"].values()) == 216
    for index, name in enumerate(NAMES):
        found = figures["sets"]["per_class"][name]
        assert found["coverage"]["value"] == pytest.approx(covered[labels == index].mean())
        assert found["mean_size"] == pytest.approx(sets[labels == index].sum(axis=1).mean())


def test_accepted_answers_are_counted(table, figures):
    rows = answered(table)
    accepted = np.array(table.decisions)[rows] == "accept"
    right = (table.predicted == table.labels)[rows]
    selection = figures["selection"]
    assert selection["num_accepted"] == accepted.sum() > 0
    assert selection["accepted"]["value"] == pytest.approx(accepted.mean())
    assert selection["accuracy_of_accepted"]["value"] == pytest.approx(right[accepted].mean())
    assert selection["reasons"] == {"confident": int(accepted.sum()), "uncertain": int((~accepted).sum())}
    labels = table.labels[rows]
    assert selection["per_class"]["b"]["accepted"]["value"] == pytest.approx(accepted[labels == 1].mean())


def test_a_model_that_refers_everything_has_no_accuracy(table):
    rows = predictions.from_rows(
        [{"image_id": "x", "group_id": "g", "label": 0, "status": "ok", "probabilities": [0.5, 0.3, 0.2]}],
        class_names=NAMES,
        split="test",
    )
    selection = uncertainty.describe_trust(rows, bootstrap_samples=100)["selection"]
    nothing = {"value": None, "wilson_95": None, "bootstrap_95": None}
    assert selection["accuracy_of_accepted"] == nothing and selection["accepted"]["value"] == 0
    assert selection["reasons"] == {"not_calibrated": 1}


def test_nothing_answered_gives_nothing(table):
    unread = table.select(~answered(table))
    assert uncertainty.describe_trust(unread, bootstrap_samples=100) is None


def test_copies_of_images_in_their_groups_say_nothing_new(table, figures):
    thrice = uncertainty.describe_trust(predictions.join([table] * 3), bootstrap_samples=300)
    for name in ("nll", "brier"):
        assert thrice["scores"][name]["bootstrap_95"] == pytest.approx(figures["scores"][name]["bootstrap_95"])
    for name in ("accepted", "accuracy_of_accepted"):
        expected = figures["selection"][name]["bootstrap_95"]
        assert thrice["selection"][name]["bootstrap_95"] == pytest.approx(expected)
    assert thrice["sets"]["coverage"]["bootstrap_95"] == pytest.approx(figures["sets"]["coverage"]["bootstrap_95"])


def test_a_class_of_a_few_groups_has_no_interval(table):
    is_rare = table.labels == 2
    groups = np.where(is_rare, "rare " + (np.arange(len(table)) % 4).astype(str).astype(object), table.group_ids)
    few = dataclasses.replace(table, group_ids=tuple(groups.tolist()))
    classes = uncertainty.describe_trust(few, bootstrap_samples=100)["sets"]["per_class"]
    assert classes["c"]["coverage"]["value"] is not None and classes["c"]["coverage"]["bootstrap_95"] is None
    assert classes["a"]["coverage"]["bootstrap_95"] is not None


def draw_confidence(count):
    rng = np.random.default_rng(0)
    confidence = rng.beta(6, 1.2, size=count)
    return confidence, rng.random(count) < confidence


def test_the_risk_coverage_curve_by_counting():
    confidence, correct = draw_confidence(60)
    confidence = np.round(confidence, 1)
    coverage, risk = uncertainty.risk_coverage(confidence, correct)
    expected = [
        ((confidence >= level).mean(), (~correct[confidence >= level]).mean())
        for level in sorted(set(confidence), reverse=True)
    ]
    np.testing.assert_allclose(np.stack([coverage, risk], axis=1), expected)
    assert coverage[-1] == 1 and risk[-1] == pytest.approx(1 - correct.mean())
    assert [len(values) for values in uncertainty.risk_coverage(np.zeros(0), np.zeros(0, bool))] == [0, 0]


def test_the_area_under_it_is_the_mean_risk():
    confidence, correct = draw_confidence(60)
    _, risk = uncertainty.risk_coverage(confidence, correct)
    assert uncertainty.aurc(confidence, correct) == pytest.approx(risk.mean())
    assert uncertainty.aurc(confidence, np.ones(60, bool)) == 0
    weights = np.random.default_rng(1).integers(0, 2, 60).astype(float)
    kept = weights > 0
    expected = uncertainty.aurc(confidence[kept], correct[kept])
    np.testing.assert_allclose(uncertainty.aurc(confidence, correct, weights[None]), [expected])


def test_a_long_curve_is_thinned(table):
    figures = uncertainty.describe_trust(draw(900), bootstrap_samples=100)
    assert len(figures["risk_coverage"]) == 200
    assert figures["risk_coverage"][-1][0] == 1
