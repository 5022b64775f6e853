"""Paired comparisons of two models on the same images and folds, and the price of making several of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sperm_tf.evaluation.metrics.intervals import LEVEL
from sperm_tf.schemas.cross_validation import McNemarTest, PairedTest


def corrected_resampled_t_test(
    differences: Sequence[float] | np.ndarray, *, test_train_ratio: float, level: float = LEVEL
) -> PairedTest:
    """Tests whether two models differ, from their differences in every fold of a repeated cross-validation.

    The training parts of the folds overlap, so the differences are not independent, and the usual paired t-test finds
    differences where there are none. Nadeau and Bengio (2003, Machine Learning 52:239-281, section 3) replace the
    variance of the mean, s² / n, by (1 / n + n_test / n_train) s². Bouckaert and Frank (2004, PAKDD, LNCS 3056:3-12)
    use it for r repeats of k folds: n = r k differences and n - 1 degrees of freedom.

    Args:
        differences: [n], one a fold and repeat, of one figure: second model minus first. At least 2.
        test_train_ratio: images in a test part divided by images that the model was made from.
        level: of the interval, 0-1.

    Returns:
        `difference` (mean), `interval` ([lower, upper] of the mean difference, with the corrected variance),
        `statistic` (None when the differences are all equal and not 0), `degrees_of_freedom`, `p_value` (two-sided)
        and `num_differences`.
    """
    import scipy.stats

    values = np.asarray(differences, np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(
            f"differences must be at least 2 finite numbers. Received: differences={values.tolist()}. Pass one "
            f"difference a fold."
        )
    if not 0 <= test_train_ratio < math.inf:
        raise ValueError(
            f"test_train_ratio must be at least 0. Received: test_train_ratio={test_train_ratio}. With k folds it is "
            f"1 / (k - 1) when all other images train."
        )
    mean, freedom = float(values.mean()), len(values) - 1
    error = math.sqrt((1 / len(values) + test_train_ratio) * float(values.var(ddof=1)))
    if error > 0:
        statistic: float | None = mean / error
        p_value = float(2 * scipy.stats.t.sf(abs(mean / error), freedom))
    else:  # equal differences: identical models, or a shift without any spread
        statistic, p_value = (0.0, 1.0) if mean == 0 else (None, 0.0)
    reach = float(scipy.stats.t.ppf((1 + level) / 2, freedom)) * error
    return {
        "difference": mean,
        "interval": [mean - reach, mean + reach],
        "statistic": statistic,
        "degrees_of_freedom": freedom,
        "p_value": p_value,
        "num_differences": len(values),
    }


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """P-values corrected for their number, so that one false finding among them stays as rare as in a single test.

    Holm 1979, Scandinavian Journal of Statistics 6:65-70.

    Args:
        p_values: [n], 0-1.

    Returns:
        float64 [n], 0-1, in the same order.
    """
    from statsmodels.stats.multitest import multipletests

    return multipletests(p_values, method="holm")[1] if len(p_values) else np.zeros(0)


def mcnemar(first_correct: np.ndarray, second_correct: np.ndarray) -> McNemarTest:
    """Exact test of whether two models err equally often on the same images (McNemar 1947, Psychometrika 12:153-157).

    It takes images as independent, so near duplicates and the common training of images of one fold make it somewhat
    too sure. The predictions of several repeats are the same images again: test each repeat by itself.

    Args:
        first_correct: bool [N], whether the first model was right, each image once.
        second_correct: bool [N], the same of the second, in the same order.

    Returns:
        `only_first` and `only_second` (images that only this model got right) and `p_value` (two-sided, exact).
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact_test

    first, second = np.asarray(first_correct, bool), np.asarray(second_correct, bool)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(
            f"second_correct must be as long as first_correct. Received: {list(first.shape)} and "
            f"{list(second.shape)}. Pass both models' answers to the same images."
        )
    table = [[int((a & b).sum()) for b in (second, ~second)] for a in (first, ~first)]
    return {
        "only_first": table[0][1],
        "only_second": table[1][0],
        "p_value": float(exact_test(table, exact=True).pvalue),
    }
