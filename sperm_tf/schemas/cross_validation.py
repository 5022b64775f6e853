"""Files of a cross-validation: `fits.json`, `results.json` and `decisions.json`."""

from typing import NotRequired, TypedDict

from sperm_tf.schemas.metrics import (
    ConfusionMatrix,
    Interval,
    Metric,
    Proportion,
    ReliabilityBin,
    Uncertainty,
)


class FitSummary(TypedDict):
    """What a fit cost and found: `fit.json`."""

    model: str
    repeat: int
    fold: int
    num_epochs: int
    best_epoch: int
    seconds: float
    backend: str
    weights: NotRequired[str]  # fits of the first versions do not say so, nor the three below
    num_train: NotRequired[int]
    validation_accuracy: NotRequired[float]
    test_accuracy: NotRequired[float]


class FitEntry(FitSummary):
    """An entry of `fits.json`."""

    fingerprint: str


class FitsOfModel(TypedDict):
    """What the fits of one model took; means are None without a fit."""

    num_fits: int
    seconds: float
    mean_epochs: float | None
    mean_best_epoch: float | None
    backends: list[str]
    weights: list[str]


class RelativesOfModel(TypedDict):
    """The dataset version of a model's predictions, and the test images of each repeat with a relative elsewhere."""

    dataset_version: str | None
    num_with_relative_elsewhere: list[int] | None


class ClassFigures(TypedDict):
    """Metrics of one class of one set of predictions."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class FoldMetrics(TypedDict):
    """Metrics of one set of predictions."""

    num_images: int
    accuracy: float
    macro_f1: float
    kappa: float | None
    mcc: float
    nll: float
    brier: float
    ece: float
    per_class: dict[str, ClassFigures]


class RepeatMetrics(FoldMetrics):
    """Metrics of the pooled predictions of one repeat, or of one fold of it."""

    repeat: int
    fold: NotRequired[int]


class Spread(TypedDict):
    """Mean and standard deviation (n - 1) over folds."""

    mean: float | None
    sd: float | None


class MetricsOverFolds(TypedDict):
    """Spread of every metric over the folds of all repeats; `per_class`: class -> metric -> spread."""

    accuracy: Spread
    macro_f1: Spread
    kappa: Spread
    mcc: Spread
    nll: Spread
    brier: Spread
    ece: Spread
    per_class: dict[str, dict[str, Spread]]


class PooledClassMetrics(TypedDict):
    """Those of one class."""

    support: int
    precision: Metric
    recall: Proportion
    f1: Metric


class PooledMetrics(TypedDict):
    """Means over repeats of the metrics of pooled predictions, with intervals."""

    accuracy: Proportion
    macro_f1: Metric
    kappa: Metric
    mcc: Metric
    nll: Metric
    brier: Metric
    ece: Metric
    per_class: dict[str, PooledClassMetrics]


class ModelResults(TypedDict):
    """Every metric of one model."""

    num_repeats: int
    num_fits: int
    folds: list[RepeatMetrics]
    over_folds: MetricsOverFolds
    repeats: list[RepeatMetrics]
    pooled: PooledMetrics
    confusion_matrix: ConfusionMatrix
    reliability: list[ReliabilityBin]
    fits: NotRequired[FitsOfModel]
    relatives: NotRequired[RelativesOfModel]


class PairedTest(TypedDict):
    """A corrected resampled t-test, `p_value_holm` corrected over all pairs; None where it is undefined."""

    difference: float
    interval: Interval | None
    statistic: float | None
    degrees_of_freedom: int
    num_differences: int
    p_value: float
    p_value_holm: NotRequired[float]


class McNemarTest(TypedDict):
    """McNemar's test: how many images only one of two models got right."""

    only_first: int
    only_second: int
    p_value: float


class McNemar(McNemarTest):
    """That of the pooled predictions of one repeat."""

    repeat: int


class Comparison(TypedDict):
    """Two models compared; differences are second minus first."""

    first: str
    second: str
    num_repeats: int
    test_train_ratio: float
    accuracy: PairedTest
    macro_f1: PairedTest
    mcnemar: list[McNemar]


class Method(TypedDict):
    """How the metrics were made."""

    level: float
    bootstrap_samples: int
    seed: int
    ece: str
    brier: str
    wilson_95: str
    bootstrap_95: str
    t_test: str
    mcnemar: str


class Results(TypedDict):
    """`results.json`: every metric of every model of a dataset, and every pair of models compared."""

    dataset: NotRequired[str]
    class_names: list[str]
    num_images: int
    num_groups: int
    class_counts: dict[str, int]
    models: dict[str, ModelResults]
    comparisons: list[Comparison]
    method: Method


class Guarantee(TypedDict):
    """Guarantees of the decision rule."""

    set_coverage: float
    max_risk: float
    delta: float


class Accepted(TypedDict):
    """Share of accepted predictions, and how often they are right; None without any."""

    accepted: float
    accuracy_of_accepted: float | None


class GuaranteeAtRisk(TypedDict):
    """What is accepted in each repeat under another guarantee."""

    max_risk: float
    repeats: list[Accepted]


class CountedSlides(TypedDict):
    """What a count of normal forms is worth on slides with this share of them.

    See `sperm_tf.evaluation.cross_validation.coverage_experiment.describe`.
    """

    true_share: float
    num_slides: int
    num_corrected: int
    num_foretold: int
    true: NotRequired[float]
    counted: NotRequired[float]
    counted_error: NotRequired[float]
    counted_held: NotRequired[int]
    corrected: NotRequired[float]
    corrected_error: NotRequired[float]
    corrected_held: NotRequired[int]
    wrong: NotRequired[float]
    foretold: NotRequired[float]
    foretold_error: NotRequired[float]
    foretold_held: NotRequired[int]
    foretold_width: NotRequired[float]


class AcceptedOnSlides(TypedDict):
    """Metrics of accepted predictions on slides with this share of normal forms; None without such predictions."""

    true_share: float
    accepted: float
    wrong_normal: float | None
    wrong_other: float | None


class ModelDecisions(TypedDict):
    """Metrics of the served predictions of one model, repeat by repeat."""

    promise: Guarantee
    repeats: list[Uncertainty]
    guarantees: list[GuaranteeAtRisk]
    slides: list[CountedSlides]
    accepted_on_slides: list[AcceptedOnSlides]


Decisions = dict[str, ModelDecisions]
"""`decisions.json`, by model."""
