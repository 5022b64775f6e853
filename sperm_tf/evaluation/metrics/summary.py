"""`metrics.json`: every metric of one evaluation with its 95 % intervals, ready for a report.

Undefined figures and bounds are None (JSON null). Conventions: `sperm_tf.evaluation.metrics.classification`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sperm_tf.evaluation.metrics import classification, intervals, jsonable
from sperm_tf.evaluation.metrics.predictions import Predictions
from sperm_tf.schemas.evaluation import ClassMetrics, ConfusionShares, EvaluationMetrics, Slice
from sperm_tf.schemas.metrics import Metric, Proportion
from sperm_tf.served_names import OK

SEED = 0


def summarize(predictions: Predictions, *, bootstrap_samples: int, slice_by: Sequence[str] = ()) -> EvaluationMetrics:
    """All metrics of one split, overall and by slice.

    Args:
        predictions: answers to every example of the split.
        bootstrap_samples: number of resamples of the group bootstrap.
        slice_by: `label_name` or names of `predictions.features`; each value becomes a slice.

    Returns:
        A JSON-serializable dictionary. A figure is `{"value", "wilson_95", "bootstrap_95"}`, `wilson_95` for
        proportions only; an interval is `[lower, upper]` or None.
    """
    figures = _Figures(predictions, bootstrap_samples)
    names = predictions.class_names
    return {
        "split": predictions.split,
        "class_names": list(names),
        "num_examples": len(predictions),
        "num_groups": len(set(predictions.group_ids)),
        "accuracy": figures.accuracy(),
        "macro_f1": figures.plain("macro_f1"),
        "macro_auc": figures.plain("macro_auc"),
        "per_class": {name: figures.of_class(index) for index, name in enumerate(names)},
        "confusion_matrix": figures.confusion_matrix(),
        "unanswered": [
            {"image_id": image_id, "status": status}
            for image_id, status in zip(predictions.image_ids, predictions.statuses, strict=True)
            if status != OK
        ],
        "slices": {feature: _slices(predictions, feature, bootstrap_samples) for feature in slice_by},
        "intervals": {
            "level": intervals.LEVEL,
            "wilson_95": "takes every image as independent",
            "bootstrap_95": "percentiles over resampled groups (group_id)",
            "bootstrap_samples": bootstrap_samples,
            "seed": SEED,
        },
    }


def _slices(predictions: Predictions, feature: str, bootstrap_samples: int) -> dict[str, Slice]:
    values = predictions.values_of(feature)
    result: dict[str, Slice] = {}
    for value in sorted(set(values.tolist())):
        chosen = predictions.select(values == value)
        figures = _Figures(chosen, bootstrap_samples)
        result[value] = {
            "num_examples": len(chosen),
            "num_groups": len(set(chosen.group_ids)),
            "accuracy": figures.accuracy(),
            "macro_f1": figures.plain("macro_f1"),
        }
    return result


class _Figures:
    """Metrics of one set of predictions: as they are, and in every resample."""

    def __init__(self, predictions: Predictions, bootstrap_samples: int):
        self._labels = predictions.labels
        self._probabilities = np.asarray(predictions.probabilities)
        self._num_classes = len(predictions.class_names)
        predicted = predictions.predicted
        self._counts = classification.count_outcomes(self._labels, predicted, self._num_classes)
        columns = np.where(predicted == classification.NO_ANSWER, self._num_classes, predicted)
        self._cells = np.eye(self._counts.size)[self._labels * (self._num_classes + 1) + columns]
        self._values = self._statistic(np.ones((1, len(predictions))))
        rows = classification.rows_of_figures(self._labels, predicted, self._num_classes)
        of_class = rows["recall"]
        rows |= {"auc": of_class, "shares": np.repeat(of_class[:, :, None], self._num_classes + 1, axis=2)}
        self._bounds = intervals.group_bootstrap(
            np.array(predictions.group_ids), self._statistic, samples=bootstrap_samples, seed=SEED, rows=rows
        )

    def _statistic(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        counts = (weights @ self._cells).reshape(-1, *self._counts.shape)
        areas = classification.one_vs_rest_auc(self._labels, self._probabilities, weights)
        support = counts.sum(axis=-1, keepdims=True)
        shares = np.divide(counts, support, out=np.full_like(counts, np.nan), where=support > 0)
        figures = classification.figures_from_counts(counts)
        return {**figures, "auc": areas, "macro_auc": areas.mean(axis=-1), "shares": shares}

    def plain(self, name: str, index: tuple[int, ...] = ()) -> Metric:
        """A metric that is no proportion."""
        lower, upper = self._bounds[name]
        value = jsonable.number(self._values[name][0][index])
        bounds = None if value is None else jsonable.interval(lower[index], upper[index])
        return {"value": value, "bootstrap_95": bounds}

    def accuracy(self) -> Proportion:
        correct = np.trace(self._counts[:, : self._num_classes])
        return self._proportion("accuracy", (), correct, self._counts.sum())

    def of_class(self, index: int) -> ClassMetrics:
        correct, support = self._counts[index, index], self._counts[index].sum()
        predicted = self._counts[:, index].sum()
        return {
            "support": int(support),
            "precision": self._proportion("precision", (index,), correct, predicted),
            "recall": self._proportion("recall", (index,), correct, support),
            "f1": self.plain("f1", (index,)),
            "auc": self.plain("auc", (index,)),
        }

    def confusion_matrix(self) -> ConfusionShares:
        size = range(self._num_classes)
        shares = [
            [
                self._proportion("shares", (row, column), self._counts[row, column], self._counts[row].sum())
                for column in range(self._num_classes + 1)
            ]
            for row in size
        ]
        return {
            "rows": "true class",
            "columns": "predicted class; the last column is no answer",
            "counts": self._counts.tolist(),
            "shares_of_true_class": shares,
        }

    def _proportion(self, name: str, index: tuple[int, ...], count: int, total: int) -> Proportion:
        figure = self.plain(name, index)
        bounds = jsonable.interval(*intervals.wilson(int(count), int(total)))
        return {"value": figure["value"], "wilson_95": bounds, "bootstrap_95": figure["bootstrap_95"]}
