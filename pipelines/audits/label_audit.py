"""LabelAudit: whether maps change when a network has learnt shuffled labels instead of the true ones."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from pipelines.components import measured_images
from pipelines.components.predictions_file import ANSWERS_FILE
from pipelines.components.source_images import sample
from pipelines.cross_validation.fold_model import open_fold
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.audit_config import LabelAuditConfig


class LabelAudit(Component):
    """Compares the maps of a network with those of one that was trained on shuffled labels, on the same test images.

    Layout: `answers.csv`, tidy: `image_id`, `group_id`, `label`, `predicted`, and the columns of
    `sperm_tf.explain.scorecard`; `train_accuracy` is what the rival knows of its labels.

    Args:
        config: how many images, and the views.
        **inputs: `model` from FoldCalibrator, `examples` from ExampleGen, and `rival` from ShuffledFit.
    """

    config: LabelAuditConfig
    version = 3  # integrated gradients fade where they say nothing

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Explains the same class of the same images twice, and compares."""
        import sperm_tf
        from sperm_tf.explain import scorecard
        from sperm_tf.explain.methods import ExplainedClassifier

        del context
        fold, rival = open_fold(inputs["model"], inputs["examples"]), inputs["rival"]
        names = fold.classifier.class_names
        measured = measured_images.prepare(sample(fold.tested, self.config.num_images), fold.classifier)
        trained = ExplainedClassifier(fold.classifier.keras_model, views=self.config.views)
        shuffled = sperm_tf.load_model(rival.directory / "model.keras", class_names=names).keras_model
        rows = scorecard.score_rival(trained, ExplainedClassifier(shuffled, views=self.config.views), measured.pixels)
        predicted = trained.probabilities(measured.pixels).argmax(axis=1)
        table = measured.name_rows(rows, [names[label] for label in predicted])
        table["train_accuracy"] = rival.properties["train_accuracy"]
        table.to_csv(output / ANSWERS_FILE, index=False, float_format="%.6g")
        return {"num_images": len(measured.sources), **rival.properties}
