"""The configuration of the audits, see `pipelines.audit`: one frozen dataclass an audit."""

from __future__ import annotations

import dataclasses

from sperm_tf.config_checks import VIEWS, check_choice, check_range


@dataclasses.dataclass(frozen=True)
class StrangerAuditConfig:
    """Out-of-distribution inputs of the benchmark.

    Attributes:
        num_images: number of every kind.
        seed: of what is drawn.
    """

    num_images: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("audit.strangers.num_images", self.num_images, low=2)
        check_range("audit.strangers.seed", self.seed, low=0)


@dataclasses.dataclass(frozen=True)
class TransferAuditConfig:
    """Images of another dataset for the external validation of a network.

    Attributes:
        num_images: most of them, all classes together.
    """

    num_images: int = 216

    def __post_init__(self) -> None:
        check_range("audit.transfer.num_images", self.num_images, low=2)


@dataclasses.dataclass(frozen=True)
class AttackAuditConfig:
    """Test images that are changed to mislead a network.

    Attributes:
        num_images: most of them in a fold, all classes together.
    """

    num_images: int = 24

    def __post_init__(self) -> None:
        check_range("audit.attacks.num_images", self.num_images, low=2)


@dataclasses.dataclass(frozen=True)
class CorruptionAuditConfig:
    """Test images that a network is shown clean and in every corruption and severity.

    Attributes:
        num_images: most of them in a fold, all classes together; 66 answers each.
    """

    num_images: int = 30

    def __post_init__(self) -> None:
        check_range("audit.corruptions.num_images", self.num_images, low=2)


@dataclasses.dataclass(frozen=True)
class ExplanationAuditConfig:
    """Test images on which maps are measured.

    Attributes:
        num_images: number of them in a fold, all classes together.
        num_sanity_images: how many of these also see the network lose its weights, and small changes of the image.
        views: what the answer that is explained is averaged over, 1 or 8. One view costs an eighth, and the mean over
            turned views makes any map symmetric about the middle, where the head is, whatever the network looks at.
        seed: of random weights.
    """

    num_images: int = 40
    num_sanity_images: int = 10
    views: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("audit.explanations.num_images", self.num_images, low=2)
        check_range("audit.explanations.num_sanity_images", self.num_sanity_images, low=2)
        check_choice("audit.explanations.views", self.views, VIEWS)
        check_range("audit.explanations.seed", self.seed, low=0)


@dataclasses.dataclass(frozen=True)
class LabelAuditConfig:
    """Networks that are trained on shuffled labels, and the test images on which their maps are compared.

    Attributes:
        num_images: number of images in a fold, all classes together.
        num_folds: for how many folds, from the first, such a network is trained; each costs a training.
        epochs: of that training. Nothing is augmented or smoothed, so that the labels can be learnt by heart.
        views: what the answer that is explained is averaged over, 1 or 8.
    """

    num_images: int = 40
    num_folds: int = 1
    epochs: int = 40
    views: int = 1

    def __post_init__(self) -> None:
        check_range("audit.labels.num_images", self.num_images, low=2)
        check_range("audit.labels.epochs", self.epochs, low=1)
        check_choice("audit.labels.views", self.views, VIEWS)
        check_range("audit.labels.num_folds", self.num_folds, low=1, high=5)


@dataclasses.dataclass(frozen=True)
class AuditConfig:
    """How closely the networks of a cross-validation are questioned, see `pipelines.audit`; one part an audit."""

    strangers: StrangerAuditConfig = StrangerAuditConfig()
    transfer: TransferAuditConfig = TransferAuditConfig()
    attacks: AttackAuditConfig = AttackAuditConfig()
    corruptions: CorruptionAuditConfig = CorruptionAuditConfig()
    explanations: ExplanationAuditConfig = ExplanationAuditConfig()
    labels: LabelAuditConfig = LabelAuditConfig()
