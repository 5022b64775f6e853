"""TransferAudit: external validation of a network on another dataset."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipelines.components.predictions_file import ANSWERS_FILE
from pipelines.components.source_images import read_images, sample
from pipelines.cross_validation.fold_model import open_fold
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.audit_config import TransferAuditConfig
from sperm_tf.data import examples

NORMAL, NON_SPERM = "normal", "non-sperm"
"""The two class names that both public datasets agree on, as far as they have them; any other is an abnormal form."""


class TransferAudit(Component):
    """Shows a network the spermatozoa of another dataset, whose classes it takes for normal or not.

    Layout: `answers.csv`, one row an image: `image_id`, `group_id`, `label_name` (of the other dataset), `is_normal`,
    `p_normal` (the network's probability of its class `normal`), `predicted`, `decision`, `reason`.

    Args:
        config: how many images.
        **inputs: `model` from FoldCalibrator, `examples` from its ExampleGen, `other` from the other dataset's.
    """

    config: TransferAuditConfig

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Predicts, and writes the predictions."""
        del context
        fold = open_fold(inputs["model"], inputs["examples"])
        names = examples.read_dataset_info(inputs["other"].directory)["class_names"]
        images = [image for image in read_images(inputs["other"]) if names[image.label] != NON_SPERM]
        images = sample(images, self.config.num_images)
        rows = []
        for image, found in zip(
            images, fold.classifier.predict([image.image for image in images], refuse_fields=False), strict=True
        ):
            if found.probabilities:
                rows.append(
                    {
                        "image_id": image.image_id,
                        "group_id": image.group_id,
                        "label_name": names[image.label],
                        "is_normal": int(names[image.label] == NORMAL),
                        "p_normal": f"{found.probabilities[NORMAL]:.6g}",
                        "predicted": found.predicted_class,
                        "decision": found.decision,
                        "reason": found.reason,
                    }
                )
        pd.DataFrame(rows).to_csv(output / ANSWERS_FILE, index=False)
        return {"num_images": len(rows)}
