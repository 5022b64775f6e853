"""Metrics of a classifier from counts and probabilities, vectorised so that a bootstrap can ask for thousands of them.

Conventions, the same in TFMA's figures, in `metrics.json` and in every slice:

* The predicted class is the one of highest probability, the first of equals. A row that got no answer has the
  predicted class `NO_ANSWER`: an error for accuracy and for its class's recall, and no class's false positive.
* A ratio without a denominator (the precision of a class that was never predicted, the recall of a class without
  an image) is undefined: NaN here, null in JSON. In macro F1 such a class counts as 0, which is scikit-learn's
  `f1_score(labels=range(num_classes), average="macro", zero_division=0)`. So macro F1 over a slice that holds a
  single class is at most 1 / num_classes: in such a slice read accuracy, which is that class's recall.
* One-vs-rest AUC is undefined without both positives and negatives; its macro average is undefined when one class's is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NO_ANSWER = -1


def predict(probabilities: np.ndarray) -> np.ndarray:
    """Class of highest probability.

    Args:
        probabilities: float [N, C]; a row of zeros, or one with a value that is not finite, is no answer.

    Returns:
        int64 [N], 0 to C - 1 or `NO_ANSWER`.
    """
    probabilities = np.asarray(probabilities, np.float64)
    answered = np.isfinite(probabilities).all(axis=1) & (probabilities > 0).any(axis=1)
    return np.where(answered, np.argmax(np.where(answered[:, None], probabilities, 0.0), axis=1), NO_ANSWER)


def count_outcomes(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Confusion matrix with a last column for the rows without a prediction.

    Args:
        labels: int [N], true classes.
        predicted: int [N], predicted classes or `NO_ANSWER`.
        num_classes: number of classes C.

    Returns:
        int64 [C, C + 1]; rows are true classes, columns predicted ones, the last column no answer.
    """
    columns = np.where(np.asarray(predicted) == NO_ANSWER, num_classes, predicted)
    cells = np.asarray(labels, np.int64) * (num_classes + 1) + columns
    return np.bincount(cells, minlength=num_classes * (num_classes + 1)).reshape(num_classes, num_classes + 1)


def figures_from_counts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy, macro F1 and the metrics of every class.

    Args:
        counts: [..., C, C + 1] as from `count_outcomes`; leading axes are independent samples.

    Returns:
        `accuracy` and `macro_f1` [...], `precision`, `recall` and `f1` [..., C], all 0-1, NaN where undefined.
    """
    counts = np.asarray(counts, np.float64)
    num_classes = counts.shape[-2]
    correct = np.diagonal(counts[..., :num_classes], axis1=-2, axis2=-1)
    support = counts.sum(axis=-1)
    predicted = counts[..., :num_classes].sum(axis=-2)
    f1 = _divide(2 * correct, support + predicted)
    return {
        "accuracy": _divide(correct.sum(axis=-1), support.sum(axis=-1)),
        "macro_f1": np.nan_to_num(f1, nan=0.0).mean(axis=-1),
        "precision": _divide(correct, predicted),
        "recall": _divide(correct, support),
        "f1": f1,
    }


def rows_of_figures(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> dict[str, np.ndarray]:
    """Which images enter the metrics of each class.

    Args:
        labels: int [N], true classes.
        predicted: int [N], `NO_ANSWER` for none.
        num_classes: C.

    Returns:
        `precision`, `recall` and `f1`, bool [N, C].
    """
    classes = np.arange(num_classes)
    is_true, is_predicted = np.asarray(labels)[:, None] == classes, np.asarray(predicted)[:, None] == classes
    return {"precision": is_predicted, "recall": is_true, "f1": is_true | is_predicted}


def one_vs_rest_auc(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve of every class against the others, exact, ties counting one half.

    It is the Mann-Whitney statistic (Hanley and McNeil 1982, Radiology 143:29-36): the share of pairs of one positive
    and one negative in which the positive has the higher probability.

    Args:
        labels: int [N], true classes.
        probabilities: float [N, C].
        weights: float [..., N], how often each row counts; once by default. Leading axes are independent samples.

    Returns:
        float64 [..., C], 0-1, NaN where there are no positives or no negatives.
    """
    labels = np.asarray(labels)
    probabilities = np.asarray(probabilities)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    if not len(labels):
        return np.full((*weights.shape[:-1], probabilities.shape[1]), np.nan)
    return np.stack(
        [_binary_auc(labels == index, scores, weights) for index, scores in enumerate(probabilities.T)], axis=-1
    )


def _binary_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) > 0)  # first row of each group of equal scores
    positives = np.add.reduceat((weights * positive)[..., order], starts, axis=-1)
    negatives = np.add.reduceat((weights * ~positive)[..., order], starts, axis=-1)
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    return _divide((positives * below).sum(axis=-1), positives.sum(axis=-1) * negatives.sum(axis=-1))


def _divide(numerator: Any, denominator: Any) -> np.ndarray:
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
