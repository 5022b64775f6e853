"""Metrics of out-of-fold predictions: of one set of them, their spread over folds, their means over repeats.

Undefined figures, as the precision of a class that was never predicted, are NaN here; means leave them out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from sperm_tf.evaluation.cross_validation import oof
from sperm_tf.evaluation.metrics import calibration, classification, intervals
from sperm_tf.schemas.cross_validation import FoldMetrics, MetricsOverFolds, PooledMetrics, Spread

SEED = 0
FIGURES = ("accuracy", "macro_f1", "kappa", "mcc", "nll", "brier", "ece")
CLASS_FIGURES = ("precision", "recall", "f1")


def figures_of(labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> FoldMetrics:
    """The metrics of one set of predictions.

    Args:
        labels: int [N], true classes.
        probabilities: float [N, C].
        class_names: names by label.

    Returns:
        `num_images`, `FIGURES`, and `per_class` with `CLASS_FIGURES` and `support`. NaN where undefined.
    """
    import sklearn.metrics

    num_classes = len(class_names)
    predicted = classification.predict(probabilities)
    figures = classification.figures_from_counts(classification.count_outcomes(labels, predicted, num_classes))
    support = np.bincount(labels, minlength=num_classes)
    has_two_classes = len({*labels.tolist(), *predicted.tolist()}) > 1  # without them scikit-learn warns
    kappa = sklearn.metrics.cohen_kappa_score(labels, predicted) if has_two_classes else math.nan
    return {
        "num_images": len(labels),
        "accuracy": float(figures["accuracy"]),
        "macro_f1": float(figures["macro_f1"]),
        "kappa": float(kappa),
        "mcc": float(sklearn.metrics.matthews_corrcoef(labels, predicted)) if has_two_classes else 0.0,
        "nll": float(calibration.nll(probabilities, labels)),
        "brier": float(calibration.brier(probabilities, labels)),
        "ece": float(calibration.ece(probabilities, labels)),
        "per_class": {
            name: {
                "precision": float(figures["precision"][index]),
                "recall": float(figures["recall"][index]),
                "f1": float(figures["f1"][index]),
                "support": int(support[index]),
            }
            for index, name in enumerate(class_names)
        },
    }


def agreement_from_counts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Cohen's kappa and Matthews' correlation coefficient from confusion matrices, many at once.

    Cohen 1960 (Educational and Psychological Measurement 20:37-46); Gorodkin 2004 (Computational Biology and Chemistry
    28:367-374) for several classes. scikit-learn has both, but for one matrix at a time.

    Args:
        counts: [..., C, C]; rows are true classes, columns predicted ones.

    Returns:
        `kappa` and `mcc`, float64 [...]. With a single class in truth and prediction kappa is NaN; MCC is 0 where its
        denominator is.
    """
    counts = np.asarray(counts, np.float64)
    total = counts.sum(axis=(-2, -1))
    correct = np.trace(counts, axis1=-2, axis2=-1)
    true, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    chance = (true * predicted).sum(axis=-1)
    covariance = correct * total - chance
    spread = (total**2 - (true**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1))
    apart = total**2 - chance
    return {
        "kappa": np.divide(covariance, apart, out=np.full(total.shape, np.nan), where=apart > 0),
        "mcc": np.divide(covariance, np.sqrt(spread), out=np.zeros(total.shape), where=spread > 0),
    }


def over_folds(folds: Sequence[Mapping[str, Any]], class_names: Sequence[str]) -> MetricsOverFolds:
    """Mean and standard deviation (n - 1) of what `figures_of` gives for every fold."""
    found = {
        **{name: _mean_and_sd([fold[name] for fold in folds]) for name in FIGURES},
        "per_class": {
            label: {
                figure: _mean_and_sd([fold["per_class"][label][figure] for fold in folds]) for figure in CLASS_FIGURES
            }
            for label in class_names
        },
    }
    return cast(MetricsOverFolds, found)


def _mean_and_sd(values: Sequence[float]) -> Spread:
    defined = np.array([value for value in values if math.isfinite(value)])
    return {
        "mean": float(defined.mean()) if len(defined) else math.nan,
        "sd": float(defined.std(ddof=1)) if len(defined) > 1 else math.nan,
    }


def over_repeats(
    repeats: Sequence[pd.DataFrame], class_names: Sequence[str], *, bootstrap_samples: int
) -> PooledMetrics:
    """Means over repeats with 95 % intervals.

    Args:
        repeats: the test rows of each repeat, the same images in the same order.
        class_names: names by label.
        bootstrap_samples: number of resamples of the group bootstrap.

    Returns:
        `FIGURES` and `per_class`, each `{"value", "bootstrap_95"}`; accuracy and recall also have `wilson_95`, which is
        that of the first repeat.
    """
    pooled: list[Any] = [figures_of(oof.labels(rows), oof.probabilities(rows), class_names) for rows in repeats]
    bounds = _bootstrap(repeats, len(class_names), bootstrap_samples)

    def describe(name: str, values: Sequence[float], index: tuple[int, ...] = ()) -> dict[str, Any]:
        lower, upper = bounds[name]
        return {"value": _mean_and_sd(values)["mean"], "bootstrap_95": [float(lower[index]), float(upper[index])]}

    result: dict[str, Any] = {name: describe(name, [one[name] for one in pooled]) for name in FIGURES}
    result["accuracy"]["wilson_95"] = _wilson_of(pooled[0]["accuracy"], pooled[0]["num_images"])
    result["per_class"] = {}
    for index, label in enumerate(class_names):
        values = [one["per_class"][label] for one in pooled]
        described: dict[str, Any] = {"support": values[0]["support"]}
        described |= {name: describe(name, [value[name] for value in values], (index,)) for name in CLASS_FIGURES}
        described["recall"]["wilson_95"] = _wilson_of(values[0]["recall"], values[0]["support"])
        result["per_class"][label] = described
    return cast(PooledMetrics, result)


def _wilson_of(share: float, total: int) -> list[float]:
    return list(intervals.wilson(round(share * total) if total else 0, total))


def _bootstrap(
    repeats: Sequence[pd.DataFrame], num_classes: int, samples: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Intervals of the mean over repeats, for all repeats from the same draws of groups."""
    parts = [(oof.labels(rows), oof.probabilities(rows)) for rows in repeats]  # the same images in the same order
    cells = [
        np.eye(num_classes * (num_classes + 1))[labels * (num_classes + 1) + classification.predict(probabilities)]
        for labels, probabilities in parts
    ]

    def statistic(weights: np.ndarray) -> dict[str, np.ndarray]:
        each = []
        for (labels, probabilities), cell in zip(parts, cells, strict=True):
            counts = (weights @ cell).reshape(-1, num_classes, num_classes + 1)
            scores = {
                "nll": calibration.nll(probabilities, labels, weights),
                "brier": calibration.brier(probabilities, labels, weights),
                "ece": calibration.ece(probabilities, labels, weights),
            }
            agreement = agreement_from_counts(counts[..., :num_classes])
            each.append({**classification.figures_from_counts(counts), **agreement, **scores})
        return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}

    groups = repeats[0]["group_id"].to_numpy()
    each = [
        classification.rows_of_figures(labels, classification.predict(answers), num_classes)
        for labels, answers in parts
    ]
    entering = {name: np.any([one[name] for one in each], axis=0) for name in each[0]}
    return intervals.group_bootstrap(groups, statistic, samples=samples, seed=SEED, shifted=("ece",), rows=entering)
