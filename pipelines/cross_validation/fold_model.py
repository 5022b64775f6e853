"""A network of a cross-validation as it would be served, with the images that it is tested on."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from pipelines.components.source_images import SourceImage, read_images
from pipelines.orchestration.artifacts import Artifact

if TYPE_CHECKING:
    from sperm_tf.serving.classifier import Classifier

FOLD_FILE = "fold.json"


@dataclasses.dataclass(frozen=True)
class FoldModel:
    """A finished fit.

    Attributes:
        model: name of the architecture.
        repeat: number of the repeat.
        fold: 0-4.
        classifier: the network with its decision rule.
        tested: the images of its test part, by `image_id`; nothing of it learnt from them, except that the networks
            whose answers taught the rule were trained on them (`sperm_tf.evaluation.cross_validation.oof_trust`).
    """

    model: str
    repeat: int
    fold: int
    classifier: Classifier
    tested: list[SourceImage]


def open_fold(calibrated: Artifact, generated: Artifact) -> FoldModel:
    """Opens what was calibrated, and reads the images that it is tested on.

    Args:
        calibrated: from FoldCalibrator.
        generated: from ExampleGen.
    """
    import sperm_tf

    fold = json.loads((calibrated.directory / FOLD_FILE).read_text(encoding="utf-8"))
    tested = set(fold.pop("tested"))
    return FoldModel(
        **fold,
        classifier=sperm_tf.load_model(calibrated.directory),
        tested=[image for image in read_images(generated) if image.image_id in tested],
    )
