"""Published metrics that the results page shows, and the targets of this project."""

from __future__ import annotations

import dataclasses

from sperm_tf.evaluation.metrics import intervals

TITLES = {"smids": "SMIDS", "hushem": "HuSHeM"}
RELEASED_MODELS = {"smids": "efficientnet_lite0_cbam", "hushem": "efficientnet_lite0_cbam"}
"""Dataset -> the network of its release."""
TARGETS = {"smids": (0.902, 0.910), "hushem": (0.939,)}
"""Dataset -> accuracies to be reached by `RELEASED_MODELS`, mean over folds, 0-1."""
TARGET_REPEATS = 2


@dataclasses.dataclass(frozen=True)
class Published:
    """What one work reports on one dataset.

    Attributes:
        work: how to name it.
        accuracy: 0-1.
        sd: standard deviation over folds or seeds, 0-1; None when it is not reported.
        interval: 95 % interval, 0-1; None when it is not reported.
        macro_f1: 0-1; None when it is not reported.
        pretraining: what the network had seen before.
        protocol: how it was measured.
    """

    work: str
    accuracy: float
    sd: float | None
    interval: tuple[float, float] | None
    macro_f1: float | None
    pretraining: str
    protocol: str


_MOBILENET = "MobileNetV3, fine-tuned (spermtriage)"
_DINO = "frozen DINOv2 + shape (spermtriage)"
_SHAPE = "shape features only (spermtriage)"
_RESNET = "ResNet50 ([calibration-under-shift](https://github.com/akshat0714/calibration-under-shift))"
_FOLDS = "duplicates removed, 5 folds, intervals"
_NESTED = "nested, 5 repeats of 5 folds, paired tests"
_INNER = "5 folds, nested"
_SEEDS = "5 seeds on one split; duplicates checked by bytes only"
_BYTES = "5 folds; duplicates checked by bytes only"

HONEST = {
    "smids": (
        Published(_MOBILENET, 0.878, 0.018, (0.866, 0.890), None, "ImageNet", _FOLDS),
        Published(_DINO, 0.880, 0.015, None, None, "LVD-142M", _NESTED),
        Published(_SHAPE, 0.852, 0.023, None, None, "none", _INNER),
        Published(_RESNET, 0.897, 0.007, None, None, "ImageNet", _SEEDS),
    ),
    "hushem": (
        Published(_MOBILENET, 0.792, 0.067, (0.736, 0.843), None, "ImageNet", _FOLDS),
        Published(_DINO, 0.860, 0.048, None, None, "LVD-142M", _NESTED),
        Published(_SHAPE, 0.833, 0.051, None, None, "none", _INNER),
        Published(_RESNET, 0.865, 0.078, None, None, "ImageNet", _BYTES),
    ),
}
"""Dataset -> works that looked for duplicates, kept related images in one fold, and say how far their figure can be
trusted. Of spermtriage we know the figures and the protocol, but no address to cite."""

_PAPER = "the paper (arXiv:2606.20438)"


def paper(dataset: str) -> Published | None:
    """The row of the paper that this project implements; HuSHeM's interval is Wilson's of its 31 of 33 images."""
    if dataset == "smids":
        return Published(_PAPER, 0.902, None, None, 0.913, "ImageNet", "one split, no interval")
    if dataset == "hushem":
        protocol = "one split, 33 test images; no interval of its own: this is Wilson's of 31/33"
        return Published(_PAPER, 0.939, None, intervals.wilson(31, 33), 0.948, "ImageNet", protocol)
    return None
