"""Corrected shares against the closed formula, a numerical optimizer, and slides whose truth is known."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from sperm_tf.evaluation.quantification.prevalence import (
    error_rates,
    estimate_part,
    estimate_shares,
    estimate_wrong,
    fit,
)

SMIDS = np.array([[850, 115, 35], [133, 810, 57], [18, 30, 952]])
NORMAL, SPERM = [True, False, False], [True, True, False]


def test_two_classes_are_rogan_and_gladens_formula():
    confusion = np.array([[90, 10], [20, 180]])
    sensitivity, specificity = 0.9, 0.9
    for positive in (30, 55, 80):
        found, _ = estimate_part([positive, 100 - positive], confusion, part=[True, False], whole=[True, True])
        assert found == pytest.approx((positive / 100 + specificity - 1) / (sensitivity + specificity - 1), abs=1e-6)
    # Fewer positive answers than errors alone would give: the formula is below zero.
    assert estimate_part([5, 95], confusion, part=[True, False], whole=[True, True])[0] == pytest.approx(0, abs=1e-4)


def test_several_classes_are_the_most_likely_shares():
    errors = SMIDS / SMIDS.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    answers = rng.integers(5, 200, size=(6, 3))
    found = estimate_shares(answers, errors)
    for counts, shares in zip(answers, found, strict=True):
        best = scipy.optimize.minimize(
            lambda shares, counts=counts: -counts @ np.log(shares @ errors),
            np.full(3, 1 / 3),
            bounds=[(1e-9, 1)] * 3,
            constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1},
            options={"ftol": 1e-12},
        )
        np.testing.assert_allclose(shares, best.x, atol=2e-3)


@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.55, 0.55), (0.52, 0.5)])
def test_answers_that_hardly_tell_the_classes_apart_converge(sensitivity, specificity):
    errors = np.array([[sensitivity, 1 - sensitivity], [1 - specificity, specificity]])
    found = estimate_shares(np.array([0.04, 0.96]) @ errors, errors)
    assert found[0] == pytest.approx(0.04, abs=1e-3)
    answers = np.round(400 * np.array([0.04, 0.96]) @ errors)
    _, (low, high) = estimate_part(answers, np.round(2000 * errors), part=[True, False], whole=[True, True])
    assert low < 0.01 and high > (0.9 if sensitivity < 0.55 else 0.25), "it cannot be told"


def test_errors_and_mixes_may_differ_from_row_to_row():
    errors = np.stack([np.eye(2), [[0.8, 0.2], [0.1, 0.9]]])
    shares = np.array([[0.3, 0.7], [0.6, 0.4]])
    answers = np.einsum("ni,nij->nj", shares, errors)
    np.testing.assert_allclose(estimate_shares(answers, errors), shares, atol=1e-6)


@pytest.mark.simulation
@pytest.mark.parametrize("truth", [0.0, 0.04, 0.15, 0.5])
def test_the_interval_holds_the_truth_and_the_count_does_not(truth):
    rng = np.random.default_rng(1)
    errors = SMIDS / SMIDS.sum(axis=1, keepdims=True)
    held, counted, found, refused = 0, [], [], 0
    for _ in range(60):
        calibration = np.stack([rng.multinomial(300, row) for row in errors])
        images = [rng.binomial(400, truth), 0, 100]
        images[1] = 400 - images[0]
        answers = sum(rng.multinomial(number, row) for number, row in zip(images, errors, strict=True))
        estimate = estimate_part(answers, calibration, part=NORMAL, whole=SPERM)
        if estimate is None:
            refused += 1
            continue
        share, (low, high) = estimate
        held += low - 1e-3 <= images[0] / 400 <= high
        counted.append(answers[0] / answers[:2].sum())
        found.append(share)
    assert held >= 54 and refused <= 3
    assert abs(np.mean(found) - truth) < 0.02
    if truth < 0.1:
        assert np.mean(counted) > truth + 0.1


@pytest.mark.parametrize("answers", [[3, 397, 100], [36, 364, 100], [375, 25, 100], [400, 0, 5]])
def test_answers_that_the_errors_give_for_no_slide_are_not_corrected(answers):
    assert fit(answers, SMIDS) < 0.05 and estimate_part(answers, SMIDS, part=NORMAL, whole=SPERM) is None


@pytest.mark.parametrize("answers", [[50, 350, 100], [60, 340, 100], [200, 200, 20]])
def test_answers_of_some_slide_are_corrected(answers):
    assert fit(answers, SMIDS) > 0.1


def test_a_fit_of_two_classes_is_a_binomial_test_against_the_error_rate():
    """With errors that are all but certain: how often so few of n are called positive, where none is."""
    confusion = np.array([[850_000, 150_000], [130_000, 870_000]])
    for positive in (30, 38, 45):
        deviances = _binomial_deviances()
        exact = scipy.stats.binom.pmf(np.arange(401), 400, 0.13)[deviances >= deviances[positive] - 1e-9].sum()
        assert fit([positive, 400 - positive], confusion) == pytest.approx(exact, abs=0.03)


def _binomial_deviances():
    """Of every count of 400: zero where some mix of the classes gives just that."""
    counts = np.arange(401)
    expected = np.clip(counts / 400, 0.13, 0.85) * 400
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = counts * np.log(counts / expected), (400 - counts) * np.log((400 - counts) / (400 - expected))
    return 2 * np.nansum(parts, axis=0)


def test_the_interval_is_never_narrower_than_that_of_a_model_without_errors():
    share, (low, high) = estimate_part([52, 348, 100], 1000 * SMIDS, part=NORMAL, whole=SPERM)
    assert share < 0.01 and low < 1e-9 and high >= proportion_confint(0, 400, method="wilson")[1]


def test_error_rates_are_one_minus_specificity_and_sensitivity():
    wrongly, rightly = error_rates([[80, 20, 0], [6, 90, 4], [0, 10, 90]], part=NORMAL, whole=SPERM)
    assert (wrongly, rightly) == (0.06, 0.8)
    assert error_rates([[80, 20], [6, 94]], part=[True, True], whole=[True, True]) is None


def test_what_is_not_known_corrects_nothing():
    assert estimate_part([5, 5, 5], (), part=NORMAL, whole=SPERM) is None
    assert estimate_part([5, 5, 5], [[4, 0, 0], [0, 0, 0], [0, 0, 4]], part=NORMAL, whole=SPERM) is None
    assert estimate_part([0, 0, 5], SMIDS, part=NORMAL, whole=SPERM) is None


SURE = np.array([[600, 20, 5], [30, 500, 10], [2, 4, 800]])  # of the answers of SMIDS, those that are accepted


def test_wrong_answers_follow_bayes_theorem():
    answers = 10_000 * np.array([0.05, 0.75, 0.2]) @ (SMIDS / SMIDS.sum(axis=1, keepdims=True))
    prior = np.array([0.05, 0.75, 0.2]) * SURE[:, 0] / 1000
    share, _ = estimate_wrong(np.round(answers), 1000 * SMIDS, 1000 * SURE, part=NORMAL, num_accepted=60)
    assert share == pytest.approx(prior[1:].sum() / prior.sum(), abs=0.01)
    share, (low, high) = estimate_wrong(np.round(answers), SMIDS, SURE, part=NORMAL, num_accepted=60)
    assert low < share < high
    _, (lowest, highest) = estimate_wrong(np.round(answers), SMIDS, SURE, part=NORMAL, num_accepted=6)
    assert highest - lowest > high - low, "of few answers, more or fewer can be wrong by chance"


@pytest.mark.simulation
@pytest.mark.parametrize("truth", [0.0, 0.04, 0.15, 0.5])
def test_the_interval_holds_how_many_accepted_answers_are_wrong(truth):
    rng = np.random.default_rng(2)
    errors = SMIDS / SMIDS.sum(axis=1, keepdims=True)
    held, refused, found, wrong = 0, 0, [], []
    for _ in range(60):
        calibration = np.stack([rng.multinomial(300, row) for row in errors])
        sure = rng.binomial(calibration, SURE / SMIDS)
        num_normal = rng.binomial(400, truth)
        images = num_normal, 400 - num_normal, 100
        answered = np.stack([rng.multinomial(number, row) for number, row in zip(images, errors, strict=True)])
        accepted = rng.binomial(answered, SURE / SMIDS)[:, 0]
        estimate = estimate_wrong(answered.sum(axis=0), calibration, sure, part=NORMAL, num_accepted=accepted.sum())
        if estimate is None:
            refused += 1
            continue
        share, (low, high) = estimate
        wrong.append(accepted[1:].sum() / accepted.sum())
        found.append(share)
        held += low - 1e-9 <= wrong[-1] <= high + 1e-9
    assert held >= 54 and refused <= 4
    if truth >= 0.15:
        assert np.mean(found) == pytest.approx(np.mean(wrong), abs=0.03)
    elif truth == 0.0:
        assert np.mean(wrong) == 1 and np.mean(found) > 0.7


def test_wrong_answers_are_not_predicted_where_nothing_is_known_of_them():
    answers = [60, 340, 100]
    nothing = np.zeros((3, 3), int)
    for confusion, sure, number in ((SMIDS, SURE, 0), (SMIDS, (), 9), (SMIDS, nothing, 9), (nothing, SURE, 9)):
        assert estimate_wrong(answers, confusion, sure, part=NORMAL, num_accepted=number) is None
    assert estimate_wrong([3, 397, 100], SMIDS, SURE, part=NORMAL, num_accepted=3) is None, "no mix fits"
    assert estimate_wrong(answers, SMIDS, SURE, part=NORMAL, num_accepted=9) is not None


@pytest.mark.parametrize(
    ("answers", "confusion", "roles"),
    [
        ([0, 0, 1], [[20, 1, 0], [2, 19, 0], [1, 3, 0]], {"part": [1, 0, 0], "whole": [1, 1, 1]}),
        ([0, 1, 0], [[6, 0, 1], [4, 0, 2], [0, 0, 9]], {"part": [1, 0, 0], "whole": [1, 1, 0]}),
    ],
)
def test_an_answer_that_no_calibration_image_got_explains_nothing(answers, confusion, roles):
    assert estimate_part(answers, confusion, **roles) is None


@pytest.mark.parametrize("num_classes", [8, 9, 12, 18])
def test_wrong_answers_are_predicted_for_many_classes(num_classes):
    generator = np.random.default_rng(num_classes)
    confusion = generator.multinomial(60, (np.ones(num_classes) + 12 * np.eye(num_classes)) / (num_classes + 12))
    part = np.arange(num_classes) == 0
    counts = generator.multinomial(400, confusion[1:].sum(axis=0) / confusion[1:].sum())
    share, (low, high) = estimate_wrong(counts, confusion, confusion // 2, part=part, num_accepted=5)
    assert 0 <= low <= share <= high <= 1
