"""The guarantee against the binomial distribution, against its own promise, and against trying every threshold."""

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from sperm_tf.decision import selective


def draw(count, seed=0):
    """Answers whose confidence is the probability that they are right."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(6, 1.2, size=count)
    return confidence, rng.random(count) < confidence


@pytest.mark.parametrize(("wrong", "accepted"), [(0, 30), (3, 100), (17, 40)])
def test_the_bound_is_clopper_and_pearsons(wrong, accepted):
    bound = selective.risk_bound(wrong, accepted, 0.05)
    assert bound == pytest.approx(proportion_confint(wrong, accepted, alpha=0.1, method="beta")[1])
    assert scipy.stats.binom.cdf(wrong, accepted, bound) == pytest.approx(0.05)


def test_nothing_bounds_answers_that_are_all_wrong_or_none():
    assert selective.risk_bound(4, 4, 0.1) == selective.risk_bound(0, 0, 0.1) == 1


@pytest.mark.simulation
def test_the_guarantee_fails_no_more_often_than_it_says():
    everything, truth = draw(200_000, seed=99)
    broken, given = 0, 0
    for seed in range(400):
        found = selective.guarantee(*draw(300, seed), max_risk=0.15, delta=0.1)
        if found.num_accepted:
            given += 1
            broken += (~truth[everything >= found.threshold]).mean() > 0.15
    assert given > 350
    assert broken <= 0.1 * given


def test_it_is_nearly_what_trying_every_threshold_finds():
    confidence, correct = draw(500, seed=3)
    found = selective.guarantee(confidence, correct, max_risk=0.1, delta=0.05)
    accepted = confidence >= found.threshold
    assert found.coverage == accepted.mean() and found.num_accepted == accepted.sum()
    assert found.risk_bound == selective.risk_bound((accepted & ~correct).sum(), accepted.sum(), 0.05 / 10)
    best = max(
        (confidence >= threshold).mean()
        for threshold in confidence
        if selective.risk_bound(
            ((confidence >= threshold) & ~correct).sum(), (confidence >= threshold).sum(), 0.05 / 10
        )
        <= 0.1
    )
    assert best - 0.02 <= found.coverage <= best


def test_too_few_images_guarantee_nothing():
    found = selective.guarantee(np.linspace(0.8, 1, 17), np.ones(17, bool), max_risk=0.05, delta=0.05)
    assert np.isinf(found.threshold) and np.isnan(found.risk_bound) and found.coverage == 0
    assert selective.guarantee(np.zeros(0), np.zeros(0, bool), max_risk=0.05, delta=0.05).num_accepted == 0


@pytest.mark.parametrize(
    ("max_risk", "count", "is_enough"),
    [(0.05, 98, False), (0.05, 99, True), (0.05, 300, True), (0.1, 46, False), (0.1, 47, True)],
)
def test_a_network_that_is_always_right_answers_always(max_risk, count, is_enough):
    found = selective.guarantee(np.linspace(0.5, 1, count), np.ones(count, bool), max_risk=max_risk, delta=0.05)
    assert (found.num_accepted, found.threshold) == ((count, 0.5) if is_enough else (0, np.inf))


def test_everything_is_accepted_where_half_of_it_bounds_nothing():
    correct = np.arange(1000) < 970  # the most confident ones are wrong
    found = selective.guarantee(np.linspace(0.5, 1, 1000), correct, max_risk=0.05, delta=0.05)
    assert found.coverage == 1 and found.risk_bound == selective.risk_bound(30, 1000, 0.05 / 11) < 0.05


def test_equal_confidences_are_accepted_together():
    confidence = np.repeat([0.9, 0.6], [100, 100])
    correct = np.repeat([True, False], [100, 100])
    found = selective.guarantee(confidence, correct, max_risk=0.1, delta=0.05)
    assert (found.threshold, found.num_accepted) == (0.9, 100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_risk": 5.0}, "max_risk must lie between 0 and 1. Received: max_risk=5.0"),
        ({"delta": 0.0}, "delta must lie between 0 and 1. Received: delta=0.0"),
        ({"correct": np.ones(2, bool)}, r"Received: shapes \(3,\) and \(2,\)"),
    ],
)
def test_wrong_arguments_are_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        selective.guarantee(
            **{"confidence": np.ones(3), "correct": np.ones(3, bool), "max_risk": 0.1, "delta": 0.1, **arguments}
        )
