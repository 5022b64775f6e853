"""`metrics.json` of the Evaluator: what `sperm_tf.evaluation.metrics.summary.summarize` says of one split."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from sperm_tf.schemas.metrics import ConfusionMatrix, Metric, Proportion, Uncertainty


class ClassMetrics(TypedDict):
    """Metrics of one class."""

    support: int
    precision: Proportion
    recall: Proportion
    f1: Metric
    auc: Metric


class ConfusionShares(ConfusionMatrix):
    """Counts, and their shares of the true class; the last column is no prediction."""

    shares_of_true_class: list[list[Proportion]]


class Slice(TypedDict):
    """Metrics of the examples that share a value of a feature."""

    num_examples: int
    num_groups: int
    accuracy: Proportion
    macro_f1: Metric


class Unanswered(TypedDict):
    """An example without a prediction."""

    image_id: str
    status: str


class Intervals(TypedDict):
    """How the intervals were made."""

    level: float
    wilson_95: str
    bootstrap_95: str
    bootstrap_samples: int
    seed: int


class EvaluationMetrics(TypedDict):
    """All metrics of one split, overall and by slice: feature -> value -> metrics.

    The Evaluator adds `quality_edges`, where thirds of measured quality end, and `trust`, None where nothing was
    answered.
    """

    split: str
    class_names: list[str]
    num_examples: int
    num_groups: int
    accuracy: Proportion
    macro_f1: Metric
    macro_auc: Metric
    per_class: dict[str, ClassMetrics]
    confusion_matrix: ConfusionShares
    unanswered: list[Unanswered]
    slices: dict[str, dict[str, Slice]]
    intervals: Intervals
    quality_edges: NotRequired[Mapping[str, Sequence[float] | None]]
    trust: NotRequired[Uncertainty | None]
