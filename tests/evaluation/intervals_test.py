import math

import numpy as np
import pytest
import scipy.stats

from sperm_tf.evaluation import intervals


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


@pytest.mark.parametrize(("count", "total"), [(0, 5), (5, 5), (1, 3), (37, 60), (590, 600)])
def test_wilson_equals_scipys(count, total):
    expected = scipy.stats.binomtest(count, total).proportion_ci(method="wilson")
    assert intervals.wilson(count, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_is_undefined():
    assert all(math.isnan(bound) for bound in intervals.wilson(0, 0))


def test_bootstrap_agrees_with_one_written_as_a_loop():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(60), rng.integers(1, 5, size=60))
    values = rng.normal(size=len(groups)) + rng.normal(size=60)[groups]
    lower, upper = intervals.group_bootstrap(groups, mean_of(values), samples=4000)["mean"]
    means = []
    for _ in range(4000):
        drawn = rng.choice(60, size=60, replace=True)
        means.append(np.concatenate([values[groups == group] for group in drawn]).mean())
    expected = np.percentile(means, [2.5, 97.5])
    np.testing.assert_allclose([lower, upper], expected, atol=0.15 * np.diff(expected)[0])


def test_duplicated_images_widen_the_interval_only_when_they_are_grouped():
    rng = np.random.default_rng(4)
    values = np.tile(rng.integers(0, 2, size=80).astype(float), 4)  # every image four times
    cells = np.tile(np.arange(80), 4)
    grouped = intervals.group_bootstrap(cells, mean_of(values), samples=2000)["mean"]
    naive = intervals.group_bootstrap(np.arange(320), mean_of(values), samples=2000)["mean"]
    ratio = (grouped[1] - grouped[0]) / (naive[1] - naive[0])
    assert 1.7 < ratio < 2.3  # sqrt(4)


def test_bootstrap_repeats_with_its_seed_whatever_the_chunks(monkeypatch):
    values = np.random.default_rng(5).normal(size=50)
    first = intervals.group_bootstrap(np.arange(50), mean_of(values), samples=300, seed=7)["mean"]
    monkeypatch.setattr(intervals, "_MAX_WEIGHTS", 1000)
    assert intervals.group_bootstrap(np.arange(50), mean_of(values), samples=300, seed=7)["mean"] == first
    assert intervals.group_bootstrap(np.arange(50), mean_of(values), samples=300, seed=8)["mean"] != first


def test_one_group_gives_no_interval():
    lower, upper = intervals.group_bootstrap(np.array(["a", "a"]), mean_of(np.ones(2)), samples=50)["mean"]
    assert np.isnan(lower)
    assert np.isnan(upper)


def test_undefined_resamples_are_left_out():
    def statistic(weights):
        return {"pair": np.where(weights[:, :1] > 0, weights[:, :1] * [[1.0, np.nan]], np.nan)}

    lower, upper = intervals.group_bootstrap(np.arange(4), statistic, samples=200)["pair"]
    assert lower[0] == 1
    assert upper[0] >= 2
    assert np.isnan([lower[1], upper[1]]).all()
