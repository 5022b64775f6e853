"""AttackAudit: predictions of a network under adversarial attacks."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipelines.components.predictions_file import ANSWERS_FILE
from pipelines.components.source_images import sample
from pipelines.cross_validation.fold_model import open_fold
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.audit_config import AttackAuditConfig

EPSILONS = (1, 2, 4)
NUM_STEPS = {"fgsm": 1, "pgd": 10}
UNCHANGED = "none"


class AttackAudit(Component):
    """Attacks the network, with full knowledge of it, on a sample of its test images.

    The attack knows the averaged classifier that is served, and changes the preprocessed image; it does not aim at the
    decision rule.

    Layout: `answers.csv`, one row an image and attack: `image_id`, `group_id`, `label` and `predicted` (by their
    indices), `decision`, `reason`, `attack` (`none`, `fgsm`, `pgd`), `epsilon` (grey levels, 0-255).

    Args:
        config: how many images.
        **inputs: `model` from FoldCalibrator and `examples` from ExampleGen.
    """

    config: AttackAuditConfig

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Attacks, predicts, and writes the predictions."""
        from sperm_tf.data.preprocess import preprocess_batch
        from sperm_tf.evaluation.robustness.adversarial import attack
        from sperm_tf.models.views import build_averaged_classifier

        del context
        fold = open_fold(inputs["model"], inputs["examples"])
        classifier = fold.classifier
        images = sample(fold.tested, self.config.num_images)
        labels = np.array([image.label for image in images], np.int64)
        pixels, _ = preprocess_batch([image.image for image in images], classifier.image_size)
        pixels = pixels.numpy().astype(np.uint8)
        served = build_averaged_classifier(classifier.keras_model, views=classifier.views)
        changed = {(UNCHANGED, 0): pixels}
        for name, num_steps in NUM_STEPS.items():
            for epsilon in EPSILONS:
                changed[name, epsilon] = attack(served, pixels, labels, epsilon=epsilon, num_steps=num_steps)
        tables = [
            self._ask(classifier, attacked, images).assign(attack=name, epsilon=epsilon)
            for (name, epsilon), attacked in changed.items()
        ]
        pd.concat(tables, ignore_index=True).to_csv(output / ANSWERS_FILE, index=False)
        return {"num_images": len(images)}

    @staticmethod
    def _ask(classifier: Any, pixels: np.ndarray, images: list[Any]) -> pd.DataFrame:
        from sperm_tf.data.decode import encode_png

        answers = classifier.predict([encode_png(image) for image in pixels], refuse_fields=False)
        return pd.DataFrame(
            {
                "image_id": [image.image_id for image in images],
                "group_id": [image.group_id for image in images],
                "label": [image.label for image in images],
                "predicted": [classifier.class_names.index(found.predicted_class) for found in answers],
                "decision": [found.decision for found in answers],
                "reason": [found.reason for found in answers],
            }
        )
