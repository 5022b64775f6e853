"""ExplanationAudit: faithfulness and localisation of the attribution maps of a network."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.components import measured_images
from pipelines.components.predictions_file import ANSWERS_FILE
from pipelines.components.source_images import SourceImage, sample
from pipelines.cross_validation.fold_model import open_fold
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.audit_config import ExplanationAuditConfig


class ExplanationAudit(Component):
    """Measures every method of `sperm_tf.explain.methods` on a sample of the test images, the same of every class.

    Layout: `answers.csv`, tidy: `image_id`, `group_id`, `label` (name of the true class), `predicted`, and the columns
    of `sperm_tf.explain.scorecard`: `test`, `method`, `condition`, `figure`, `value`. Figures of the head are missing
    for images of the class `non-sperm`, and for those in which no head was found.

    Args:
        config: how many, the views, and the seed.
        **inputs: `model` from FoldCalibrator and `examples` from ExampleGen.
    """

    config: ExplanationAuditConfig
    version = 3  # integrated gradients fade where they say nothing

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Chooses the images, explains, measures, and writes the rows."""
        from sperm_tf.explain import scorecard
        from sperm_tf.explain.methods import ExplainedClassifier

        del context
        fold = open_fold(inputs["model"], inputs["examples"])
        model = fold.classifier.keras_model
        measured = measured_images.prepare(sample(fold.tested, self.config.num_images), fold.classifier)
        classifier = ExplainedClassifier(model, views=self.config.views)
        rows = list(scorecard.score_faithfulness(classifier, measured.pixels, measured.heads))
        few = np.array(_spread(measured.sources, self.config.num_sanity_images))
        for found in (
            scorecard.score_sanity(model, measured.pixels[few], views=self.config.views, seed=self.config.seed),
            scorecard.score_stability(classifier, measured.pixels[few]),
        ):
            rows += [row | {"row": few[row["row"]]} for row in found]
        predicted = classifier.probabilities(measured.pixels).argmax(axis=1)
        table = measured.name_rows(rows, [fold.classifier.class_names[label] for label in predicted])
        table.to_csv(output / ANSWERS_FILE, index=False, float_format="%.6g")
        return {"num_images": len(measured.sources), "num_heads_not_found": measured.num_heads_not_found}


def _spread(chosen: list[SourceImage], count: int) -> list[int]:
    """Rows of as many images of every class, in their order."""
    few = {image.image_id for image in sample(chosen, count)}
    return [row for row, image in enumerate(chosen) if image.image_id in few]
