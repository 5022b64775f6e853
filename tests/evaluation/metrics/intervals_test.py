import math

import numpy as np
import pytest
import scipy.stats

from sperm_tf.evaluation.metrics import intervals


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


@pytest.mark.parametrize(("count", "total"), [(0, 5), (5, 5), (1, 3), (37, 60), (590, 600)])
def test_wilson_equals_scipys(count, total):
    expected = scipy.stats.binomtest(count, total).proportion_ci(method="wilson")
    assert intervals.wilson(count, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_is_undefined():
    assert all(math.isnan(bound) for bound in intervals.wilson(0, 0))


@pytest.mark.simulation
def test_bootstrap_agrees_with_one_written_as_a_loop():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(60), rng.integers(1, 5, size=60))
    values = rng.normal(size=len(groups)) + rng.normal(size=60)[groups]
    lower, upper = intervals.group_bootstrap(groups, mean_of(values), samples=4000)["mean"]
    means = []
    for _ in range(4000):
        drawn = rng.choice(60, size=60, replace=True)
        means.append(np.concatenate([values[groups == group] for group in drawn]).mean())
    beyond = scipy.stats.norm.cdf(-scipy.stats.t.ppf(0.975, 59) * np.sqrt(60 / 59))
    expected = np.quantile(means, [beyond, 1 - beyond])
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


@pytest.mark.parametrize("num_groups", [1, 4])
def test_a_few_groups_give_no_interval(num_groups):
    groups = np.arange(20) % num_groups
    assert np.isnan(intervals.group_bootstrap(groups, mean_of(np.arange(20)), samples=50)["mean"]).all()
    groups = np.arange(20) % 5
    assert np.isfinite(intervals.group_bootstrap(groups, mean_of(np.arange(20)), samples=50)["mean"]).all()


def test_only_the_groups_of_the_rows_that_enter_count():
    """Twenty patients, of whom a class has three: its recall is known from three."""
    groups, values = np.repeat(np.arange(20), 10), np.random.default_rng(0).random(200)
    of_class = np.stack([groups < 3, groups < 6, np.ones(200, bool)], axis=1)

    def means(weights):
        inside = weights[:, :, None] * of_class
        return {"recall": np.sum(inside * values[:, None], axis=1) / inside.sum(axis=1)}

    few, some, all_groups = np.transpose(
        intervals.group_bootstrap(groups, means, samples=400, rows={"recall": of_class})["recall"]
    )
    assert np.isnan(few).all() and np.isfinite(all_groups).all()
    plain = intervals.group_bootstrap(groups, means, samples=400)["recall"]
    np.testing.assert_array_equal(all_groups, [plain[0][2], plain[1][2]])
    assert some[0] < plain[0][1] and some[1] > plain[1][1], "six groups are fewer than twenty"


@pytest.mark.simulation
@pytest.mark.parametrize("num_groups", [8, 20])
def test_few_patients_hold_the_truth_about_as_often_as_many(num_groups):
    """Patients with 90 % right on average, and some with more: percentiles themselves hold 88 and 91 times in 100."""
    rng = np.random.default_rng(6)
    groups, held = np.repeat(np.arange(num_groups), 20), 0
    for seed in range(200):
        rates = rng.beta(13.5, 1.5, num_groups)
        right = (rng.random(len(groups)) < rates[groups]).astype(float)
        low, high = intervals.group_bootstrap(groups, mean_of(right), samples=400, seed=seed)["mean"]
        held += low <= 0.9 <= high
    assert held >= 182


def test_undefined_resamples_are_left_out():
    def statistic(weights):
        return {"pair": np.where(weights[:, :1] > 0, weights[:, :1] * [[1.0, np.nan]], np.nan)}

    lower, upper = intervals.group_bootstrap(np.arange(6), statistic, samples=200)["pair"]
    assert lower[0] == 1
    assert upper[0] >= 2
    assert np.isnan([lower[1], upper[1]]).all()


def test_undefined_resamples_are_left_out_of_the_excess_too():
    def statistic(weights):
        mean = weights @ np.arange(8) / 8
        return {"plain": mean, "holed": np.where(np.arange(len(weights)) % 2, np.nan, mean)}

    found = intervals.group_bootstrap(np.arange(8), statistic, samples=400, shifted=("plain", "holed"))
    np.testing.assert_allclose(found["holed"], found["plain"], rtol=0.25)
