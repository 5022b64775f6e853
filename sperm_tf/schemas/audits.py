"""`audits.json`: metrics of the benchmarks of a cross-validation's networks, by model."""

from typing import NotRequired, TypedDict

from sperm_tf.schemas.metrics import Interval, Metric, Proportion, WilsonShare


class OodScores(TypedDict):
    """A metric of each score that may tell out-of-distribution inputs apart."""

    unfamiliarity: Metric
    doubt: Metric


class OodKind(TypedDict):
    """One kind of out-of-distribution input; the kind `tested`, the dataset's own images, has no `auroc`."""

    num_images: int
    num_groups: int
    accepted: WilsonShare
    accepted_as_sperm: WilsonShare
    unfamiliar: WilsonShare
    auroc: NotRequired[OodScores]


class OodInputs(TypedDict):
    """Out-of-distribution inputs, by kind."""

    num_folds: int
    mean_auroc: OodScores
    kinds: dict[str, OodKind]


class ExternalValidation(TypedDict):
    """Images of another dataset: normal against abnormal sperm."""

    num_images: int
    num_folds: int
    auroc: Metric
    sensitivity: Proportion
    specificity: Proportion
    accepted: Proportion
    accepted_right: Proportion
    unfamiliar: Proportion


class Attack(TypedDict):
    """One adversarial attack of one strength, in grey levels of 255."""

    attack: str
    epsilon: float
    num_images: int
    accuracy: Proportion
    accepted: Proportion
    accepted_wrong: Proportion


class RobustnessRow(TypedDict):
    """Metrics of one corruption, severity or third of measured quality."""

    corruption: NotRequired[str]
    severity: NotRequired[int]
    quality_bin: NotRequired[str]
    num_answers: int
    accuracy: Proportion
    coverage: Proportion
    accepted: Proportion
    accuracy_of_accepted: Proportion
    accepted_wrong: Proportion
    unfamiliar: Proportion
    accuracy_change: Metric
    ece: Metric


class Robustness(TypedDict):
    """Corrupted images."""

    num_images: int
    severities: list[RobustnessRow]
    corruptions: list[RobustnessRow]
    quality_bins: list[RobustnessRow]


class MapDifference(TypedDict):
    """A method of attribution against a baseline on the same images."""

    difference: float | None
    bootstrap_95: Interval | None
    beats: bool


class MapMetric(Metric):
    """A metric of attribution maps; `versus`: baseline -> difference, for what is no baseline itself."""

    num_images: int
    versus: NotRequired[dict[str, MapDifference]]


class Attributions(TypedDict):
    """Attribution maps: method -> metric, and of their checks method -> condition -> metric."""

    num_folds: int
    num_images: int
    num_heads: int
    mask_area_share: MapMetric | None
    methods: dict[str, dict[str, MapMetric]]
    sanity: dict[str, dict[str, dict[str, MapMetric]]]
    stability: dict[str, dict[str, dict[str, MapMetric]]]


class LabelRandomization(TypedDict):
    """Maps of networks that learnt shuffled labels: method -> measure of similarity -> metric."""

    num_folds: int
    num_images: int
    train_accuracy: float
    methods: dict[str, dict[str, MapMetric]]


class ModelAudits(TypedDict):
    """What was found of one model; audits that it did not pass through are missing.

    Attributes:
        networks: fingerprints of the networks that were asked, as in `fits.json`, in the order of their folds.
    """

    networks: list[str]
    strangers: NotRequired[OodInputs]
    transfer: NotRequired[ExternalValidation]
    attacks: NotRequired[list[Attack]]
    corruptions: NotRequired[Robustness]
    explanations: NotRequired[Attributions]
    labels: NotRequired[LabelRandomization]


Audits = dict[str, ModelAudits]
"""`audits.json`, by model."""
