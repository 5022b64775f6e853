"""A metric with its intervals, and what is made of such metrics. None (JSON null) stands for what is undefined."""

from typing import NotRequired, TypedDict

Interval = list[float]
"""`[lower, upper]`."""


class Metric(TypedDict):
    """A metric and its 95 % interval over resampled groups of images."""

    value: float | None
    bootstrap_95: Interval | None


class Proportion(Metric):
    """A share, 0-1, also with Wilson's interval."""

    wilson_95: Interval | None


class WilsonShare(TypedDict):
    """A share, 0-1, with Wilson's interval alone."""

    value: float
    wilson_95: Interval | None


class CalibrationMetric(Metric):
    """A score of probabilities; a calibration error also with its expectation under perfect calibration."""

    by_chance: NotRequired[float]


class ReliabilityBin(TypedDict):
    """A bin of a reliability diagram that holds an image."""

    count: int
    confidence: float
    accuracy: float


class ConfusionMatrix(TypedDict):
    """Counts by true class (rows) and predicted class (columns); `rows` and `columns` say so in words."""

    rows: str
    columns: str
    counts: list[list[int]]


class SetsOfClass(TypedDict):
    """Prediction sets of the images of one class."""

    coverage: Proportion
    mean_size: float | None


class PredictionSets(TypedDict):
    """How large prediction sets are, and how often they hold the true class."""

    coverage: Proportion
    mean_size: CalibrationMetric
    sizes: dict[str, int]
    per_class: dict[str, SetsOfClass]


class SelectionOfClass(TypedDict):
    """What is accepted of one class, and how often that is right."""

    accepted: Proportion
    accuracy_of_accepted: Proportion


class Selection(SelectionOfClass):
    """Selective classification: what is accepted, how often that is right, and why the rest is referred."""

    num_accepted: int
    reasons: dict[str, int]
    per_class: dict[str, SelectionOfClass]


class Scores(TypedDict):
    """Scores of probabilities."""

    nll: CalibrationMetric
    brier: CalibrationMetric
    ece: CalibrationMetric
    ece_equal_mass: CalibrationMetric
    aurc: CalibrationMetric


class Uncertainty(TypedDict):
    """What `sperm_tf.evaluation.metrics.uncertainty.describe_trust` says of one split."""

    num_answered: int
    scores: Scores
    reliability: list[ReliabilityBin]
    sets: PredictionSets
    selection: Selection
    risk_coverage: list[list[float]]
