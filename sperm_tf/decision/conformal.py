"""Conformal prediction sets (LAC): they hold the true class with a guaranteed probability, for any network.

Split conformal prediction (Vovk, Gammerman and Shafer 2005; Angelopoulos and Bates 2023, arXiv:2107.07511): the score
of an answer says how ill it fits a class; a class belongs to the set if its score is no higher than a threshold, a
quantile of the true classes' scores on images held aside. The promise, coverage of at least 1 - alpha, holds on average
over images that could change places with those held aside; it says nothing of another clinic's.

A threshold of infinity means that there are too few images to promise anything but the set of all classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from sperm_tf.config import APS, LAC, SET_METHODS


def scores(probabilities: Any, method: str) -> Any:
    """Nonconformity score of each class for each image.

    `lac` (Sadinle, Lei and Wasserman 2019, JASA 114:223-234): 1 - p, which gives the smallest sets on average, and may
    leave a set empty. `aps` (Romano, Sesia and Candès 2020, NeurIPS, arXiv:2006.02544): the probability of the class
    and of all more probable ones, without randomisation, so that equal images get equal sets; it covers more than
    promised. Of equally probable classes the first counts as the more probable one.

    Args:
        probabilities: float [N, C], rows sum to 1.
        method: `lac` or `aps`.

    Returns:
        float [N, C], 0-1 up to rounding, of the dtype of the probabilities.
    """
    probabilities = ops.convert_to_tensor(probabilities)
    if method == LAC:
        return 1 - probabilities
    if method != APS:
        raise ValueError(f"method must be one of {', '.join(SET_METHODS)}. Received: method={method!r}.")
    others, own = probabilities[:, None, :], probabilities[:, :, None]
    is_first = np.tri(probabilities.shape[1], dtype=bool)[None]  # [class, other]: the other stands at or before it
    counts = ops.logical_or(others > own, ops.logical_and(ops.equal(others, own), is_first))
    return ops.sum(ops.where(counts, others, ops.zeros_like(others)), axis=2)


def threshold(true_scores: np.ndarray, alpha: float) -> float:
    """The ceil((n + 1) (1 - alpha))-th smallest of n scores; infinity where n is too small for that.

    Args:
        true_scores: float [n], scores of the true classes of images held aside.
        alpha: tolerated share, 0-1 exclusive, of sets without the true class.

    Raises:
        ValueError: alpha is no such share.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1. Received: alpha={alpha}. 0.1 promises sets of 90 %.")
    count = len(true_scores)
    rank = int(np.ceil(np.round((count + 1) * (1 - alpha), 9)))  # 0.1 is not exact: 9 * (1 - 0.1) must stay 8.1
    if rank > count:
        return float("inf")
    return float(np.sort(np.asarray(true_scores, np.float64))[rank - 1])


def fit(
    probabilities: np.ndarray, labels: np.ndarray, *, method: str, alpha: float, class_conditional: bool
) -> np.ndarray:
    """Thresholds of the prediction sets, fitted to held-out images.

    Class-conditional (Mondrian) sets, Vovk 2012 (ACML), arXiv:1209.2673, hold the true class of at least 1 - alpha of
    the images of every class; a class then needs at least 1 / alpha - 1 images to be left out of any set.

    Args:
        probabilities: float [n, C], answers to images held aside.
        labels: int [n], their true classes.
        method: as for `scores`.
        alpha: as for `threshold`.
        class_conditional: a threshold for each class, from its own images; else one for all, with coverage of at least
            1 - alpha on average over images.

    Returns:
        float64 [C]; equal numbers unless `class_conditional`.
    """
    of_truth, labels = _of_truth(probabilities, labels, method), np.asarray(labels)
    num_classes = np.shape(probabilities)[1]
    if not class_conditional:
        return np.full(num_classes, threshold(of_truth, alpha))
    return np.array([threshold(of_truth[labels == index], alpha) for index in range(num_classes)])


def prediction_sets(probabilities: Any, thresholds: np.ndarray, *, method: str) -> Any:
    """Which classes belong to the prediction set of each image.

    Args:
        probabilities: float [N, C].
        thresholds: float [C], of `fit`.
        method: the one that they were fitted with.

    Returns:
        bool [N, C].
    """
    found = scores(probabilities, method)
    return found <= ops.cast(ops.convert_to_tensor(np.asarray(thresholds)), found.dtype)


def _of_truth(probabilities: np.ndarray, labels: np.ndarray, method: str) -> np.ndarray:
    all_scores, labels = ops.convert_to_numpy(scores(probabilities, method)), np.asarray(labels)
    if labels.shape != all_scores.shape[:1]:
        raise ValueError(
            f"labels must be [N] for probabilities [N, C]. Received: shapes {labels.shape} and {all_scores.shape}. "
            "Pass one label for each row."
        )
    return all_scores[np.arange(len(labels)), labels]
