"""Precision, recall, F1 and count error over fields, with intervals over sessions; folds by session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from sperm_tf.evaluation.fields.matching import FieldCounts
from sperm_tf.evaluation.metrics.intervals import group_bootstrap

PRECISION, RECALL, F1, COUNT_ERROR, MEAN_IOU = METRICS = ("precision", "recall", "f1", "count_error", "mean_iou")
"""Of boxes at an IoU of 0.5; the count error is the mean over fields of |found - annotated|, in cells."""


def assign_folds(sessions: Sequence[int], num_folds: int = 5) -> np.ndarray:
    """Folds of whole sessions, balanced by fields: the largest session left goes to the smallest fold.

    Args:
        sessions: of every field.
        num_folds: number of folds.

    Returns:
        int [N], 0 and up.
    """
    sizes = Counter(sessions)
    totals, folds = [0] * num_folds, {}
    for session, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        folds[session] = int(np.argmin(totals))
        totals[folds[session]] += size
    return np.array([folds[session] for session in sessions])


def summarize_fields(
    counts: Sequence[FieldCounts], sessions: Sequence[int], *, samples: int = 2000
) -> dict[str, tuple[float, float, float]]:
    """Metrics over fields.

    Args:
        counts: of every field.
        sessions: of every field; drawn as wholes by the bootstrap.
        samples: of the bootstrap.

    Returns:
        Metric -> value, and the bounds of its 95 % interval, NaN for fewer than five sessions.
    """
    table = np.array([(count.annotated, count.found, count.matched, count.iou_sum) for count in counts], np.float64)

    def statistic(weights: np.ndarray) -> Mapping[str, np.ndarray]:
        return _metrics(weights, table)

    bounds = group_bootstrap(np.asarray(sessions), statistic, samples=samples)
    values = statistic(np.ones((1, len(table))))
    return {name: (float(values[name][0]), float(bounds[name][0]), float(bounds[name][1])) for name in METRICS}


def _metrics(weights: np.ndarray, table: np.ndarray) -> dict[str, np.ndarray]:
    annotated, found, matched, iou = (weights @ table).T
    errors = np.abs(table[:, 1] - table[:, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            PRECISION: matched / found,
            RECALL: matched / annotated,
            F1: 2 * matched / (annotated + found),
            COUNT_ERROR: weights @ errors / weights.sum(axis=1),
            MEAN_IOU: iou / matched,
        }
