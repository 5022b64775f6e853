"""A TensorFlow Model Analysis metric whose values equal scikit-learn's.

TFMA's own binarized precision, recall and F1 call a class predicted when its probability exceeds 0.5, which with three
or more classes is not the predicted class; its AUC interpolates over thresholds. `ClassificationMetrics` derives the
figures from TFMA's multi-class confusion matrix at threshold 0 (a row of zeros is "no answer" there, too) and computes
the AUC exactly. Conventions are those of `sperm_tf.evaluation.metrics.classification`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util, multi_class_confusion_matrix_metrics
from tensorflow_model_analysis.proto import config_pb2

from sperm_tf.evaluation.metrics import classification

PER_CLASS = ("precision", "recall", "f1")


class ClassificationMetrics(metric_types.Metric):
    """Metrics of a classifier with exclusive classes, by argmax.

    Metrics without a sub-key: `accuracy`, `macro_f1`, `macro_auc`. With the sub-key `classId:<label>`: `precision`,
    `recall`, `f1`, `auc`. Undefined ones are NaN, as TFMA has no other way to say it.

    Args:
        num_classes: number of classes.
        name: of the metric in the `EvalConfig`; no figure carries it.
    """

    def __init__(self, num_classes: int, name: str = "classification"):
        super().__init__(metric_util.merge_per_key_computations(_computations), num_classes=num_classes, name=name)


metric_types.register_metric(ClassificationMetrics)


def _computations(
    num_classes: int,
    name: str = "classification",
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
) -> metric_types.MetricComputations:
    """The counts and scores to combine, and what is derived from them."""
    del name
    matrices = multi_class_confusion_matrix_metrics.multi_class_confusion_matrices(
        thresholds=[0.0], eval_config=eval_config, model_name=model_name, output_name=output_name
    )
    matrices_key = matrices[-1].keys[-1]

    def key(figure: str, class_id: int | None = None) -> metric_types.MetricKey:
        sub_key = None if class_id is None else metric_types.SubKey(class_id=class_id)
        return metric_types.MetricKey(
            figure, model_name=model_name, output_name=output_name, sub_key=sub_key, example_weighted=None
        )

    def derive(computed: dict[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, float]:
        figures = classification.figures_from_counts(_counts(computed[matrices_key], num_classes))
        result = {key(figure): float(figures[figure]) for figure in ("accuracy", "macro_f1")}
        for figure in PER_CLASS:
            result |= {key(figure, index): float(value) for index, value in enumerate(figures[figure])}
        return result

    derived_keys = [key("accuracy"), key("macro_f1")]
    derived_keys += [key(figure, index) for figure in PER_CLASS for index in range(num_classes)]
    auc_keys = [key("macro_auc")] + [key("auc", index) for index in range(num_classes)]
    scores = metric_types.MetricComputation(
        keys=auc_keys, preprocessors=None, combiner=_AUCCombiner(auc_keys, eval_config, num_classes)
    )
    return [*matrices, scores, metric_types.DerivedMetricComputation(keys=derived_keys, result=derive)]


def _counts(matrices: dict[float, dict[Any, float]], num_classes: int) -> np.ndarray:
    counts = np.zeros((num_classes, num_classes + 1))
    for (actual, predicted), count in matrices.get(0.0, {}).items():
        counts[actual, predicted] = count  # TFMA's "no predicted class" is -1, which is the last column
    return counts


class _AUCCombiner(beam.CombineFn):
    """Collects labels and probabilities; exact areas need them all, a few numbers an image."""

    def __init__(self, keys: list[metric_types.MetricKey], eval_config: Any, num_classes: int):
        self._keys = keys
        self._eval_config = eval_config
        self._num_classes = num_classes

    def create_accumulator(self) -> list[tuple[int, np.ndarray]]:
        return []

    def add_input(
        self, accumulator: list[tuple[int, np.ndarray]], element: metric_types.StandardMetricInputs
    ) -> list[tuple[int, np.ndarray]]:
        label, prediction, _ = next(
            metric_util.to_label_prediction_example_weight(
                element,
                eval_config=self._eval_config,
                model_name=self._keys[0].model_name,
                output_name=self._keys[0].output_name,
                flatten=False,
            )
        )
        accumulator.append((int(np.asarray(label).item()), np.asarray(prediction, np.float32)))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[list[tuple[int, np.ndarray]]]) -> list[tuple[int, np.ndarray]]:
        return [row for accumulator in accumulators for row in accumulator]

    def extract_output(self, accumulator: list[tuple[int, np.ndarray]]) -> dict[metric_types.MetricKey, float]:
        labels = np.array([label for label, _ in accumulator], np.int64)
        probabilities = np.array([row for _, row in accumulator]).reshape(-1, self._num_classes)
        areas = classification.one_vs_rest_auc(labels, probabilities)
        return dict(zip(self._keys, [float(areas.mean()), *areas.tolist()], strict=True))
