"""Paired tests against SciPy and hand calculation, and what they are for: few false findings."""

import numpy as np
import pytest
import scipy.stats

from sperm_tf.evaluation.metrics import significance


def test_without_overlap_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.80, 0.02, 12), rng.normal(0.82, 0.02, 12)
    expected = scipy.stats.ttest_rel(second, first)
    result = significance.corrected_resampled_t_test(second - first, test_train_ratio=0)
    assert result["statistic"] == pytest.approx(expected.statistic)
    assert result["p_value"] == pytest.approx(expected.pvalue)
    assert result["interval"] == pytest.approx(list(expected.confidence_interval(0.95)))
    assert result["degrees_of_freedom"] == 11


def test_the_correction_is_that_of_the_paper():
    """Ten differences in percent, ratio 1/4: t = 2 / sqrt((1/10 + 1/4) * 14/3), by hand."""
    differences = [-1, 0, 1, 1, 2, 2, 3, 3, 4, 5]
    result = significance.corrected_resampled_t_test(differences, test_train_ratio=0.25)
    assert np.var(differences, ddof=1) == pytest.approx(30 / 9)
    expected = 2 / np.sqrt((1 / 10 + 1 / 4) * 30 / 9)
    assert result["difference"] == 2
    assert result["statistic"] == pytest.approx(expected)
    assert result["p_value"] == pytest.approx(2 * (1 - scipy.stats.t(9).cdf(expected)))
    half = 2.262157 * 2 / expected  # the 97.5 % quantile of t with 9 degrees of freedom, from a table
    assert result["interval"] == pytest.approx([2 - half, 2 + half], abs=1e-5)


def test_the_interval_and_the_p_value_agree():
    rng = np.random.default_rng(1)
    for shift in np.linspace(0, 0.05, 11):
        result = significance.corrected_resampled_t_test(rng.normal(shift, 0.03, 10), test_train_ratio=0.25)
        lower, upper = result["interval"]
        assert (result["p_value"] < 0.05) == (not lower <= 0 <= upper)


def test_equal_differences_are_no_division_by_zero():
    same = significance.corrected_resampled_t_test([0.0] * 10, test_train_ratio=0.25)
    assert (same["statistic"], same["p_value"], same["interval"]) == (0.0, 1.0, [0.0, 0.0])
    shifted = significance.corrected_resampled_t_test([0.5] * 10, test_train_ratio=0.25)
    assert (shifted["statistic"], shifted["p_value"], shifted["interval"]) == (None, 0.0, [0.5, 0.5])


def fold_differences(rng, *, num_images=60, num_repeats=4):
    """Differences in accuracy of two nearest-mean classifiers, each with one feature of its own, equally good."""
    labels = np.arange(num_images) % 2
    features = 0.9 * labels[:, None] + rng.normal(size=(num_images, 2))
    differences = []
    for _ in range(num_repeats):
        folds = rng.permutation(np.arange(num_images) // 2 % 5)
        for fold in range(5):
            train, test = folds != fold, folds == fold
            middle = (features[train & (labels == 0)].mean(axis=0) + features[train & (labels == 1)].mean(axis=0)) / 2
            correct = (features[test] > middle) == (labels[test] == 1)[:, None]
            differences.append(correct[:, 1].mean() - correct[:, 0].mean())
    return differences


@pytest.mark.simulation
def test_equal_models_are_seldom_called_different():
    rng = np.random.default_rng(2)
    drawn = [fold_differences(rng) for _ in range(300)]
    usual = np.mean([scipy.stats.ttest_1samp(one, 0).pvalue < 0.05 for one in drawn])
    corrected = np.mean(
        [significance.corrected_resampled_t_test(one, test_train_ratio=0.25)["p_value"] < 0.05 for one in drawn]
    )
    assert usual > 0.2, "the usual test is badly fooled by repeated folds"
    assert corrected < 0.09


@pytest.mark.parametrize(
    ("differences", "ratio", "message"),
    [
        ([0.1], 0.25, "at least 2 finite numbers"),
        ([0.1, float("nan")], 0.25, "at least 2 finite numbers"),
        ([0.1, 0.2], -1, "test_train_ratio must be at least 0"),
        ([0.1, 0.2], float("nan"), "test_train_ratio must be at least 0"),
    ],
)
def test_wrong_arguments_are_named(differences, ratio, message):
    with pytest.raises(ValueError, match=message):
        significance.corrected_resampled_t_test(differences, test_train_ratio=ratio)


@pytest.mark.slow
def test_holm_by_hand():
    np.testing.assert_allclose(significance.holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(significance.holm([0.6, 0.9]), [1, 1])
    assert significance.holm([]).shape == (0,)


@pytest.mark.parametrize("counts", [(3, 11), (11, 3), (6, 6), (0, 0), (0, 7)])
def test_mcnemar_is_a_binomial_test_of_the_discordant(counts):
    only_first, only_second = counts
    first = np.array([True] * 20 + [True] * only_first + [False] * only_second + [False] * 5)
    second = np.array([True] * 20 + [False] * only_first + [True] * only_second + [False] * 5)
    result = significance.mcnemar(first, second)
    assert (result["only_first"], result["only_second"]) == counts
    expected = scipy.stats.binomtest(only_first, sum(counts), 0.5).pvalue if sum(counts) else 1.0
    assert result["p_value"] == pytest.approx(expected)


def test_mcnemar_refuses_other_images():
    with pytest.raises(ValueError, match="as long as first_correct"):
        significance.mcnemar(np.ones(3), np.ones(4))
