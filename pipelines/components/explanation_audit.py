"""ExplanationAudit: whether the maps of a network say what its answers depend on, and whether that is the head."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipelines.artifacts import Artifact
from pipelines.component import Component, RunContext
from pipelines.fold_model import SourceImage, open_fold, sample
from sperm_tf.audit_config import ExplanationAuditConfig

WITHOUT_HEAD = "non-sperm"
"""Name of the class whose images have no head to look at."""


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

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Chooses the images, explains, measures, and writes the rows."""
        from sperm_tf.explain import scorecard
        from sperm_tf.explain.methods import ExplainedClassifier

        del context
        fold = open_fold(inputs["model"], inputs["examples"])
        names, model = fold.classifier.class_names, fold.classifier.keras_model
        chosen = sample(fold.tested, self.config.num_images)
        images = _preprocess(chosen, fold.classifier.image_size)
        masks = [_find_head(image, names[source.label]) for image, source in zip(images, chosen, strict=True)]
        classifier = ExplainedClassifier(model, views=self.config.views)
        few = np.array(_spread(chosen, self.config.num_sanity_images))
        rows = pd.DataFrame(scorecard.score_faithfulness(classifier, images, masks))
        for found in (
            scorecard.score_sanity(model, images[few], views=self.config.views, seed=self.config.seed),
            scorecard.score_stability(classifier, images[few]),
        ):
            part = pd.DataFrame(found)
            rows = pd.concat([rows, part.assign(row=few[part["row"]])], ignore_index=True)
        predicted = [names[label] for label in classifier.probabilities(images).argmax(axis=1)]
        _name_images(rows, chosen, names, predicted).to_csv(output / "answers.csv", index=False, float_format="%.6g")
        num_without = sum(
            mask is None and names[source.label] != WITHOUT_HEAD for mask, source in zip(masks, chosen, strict=True)
        )
        return {"num_images": len(chosen), "num_heads_not_found": num_without}


def _preprocess(chosen: list[SourceImage], image_size: int) -> np.ndarray:
    """Pixels as the network sees them, float32 [N, S, S, 3]."""
    from sperm_tf.data.preprocess import preprocess_batch

    images, _ = preprocess_batch([source.image for source in chosen], image_size)
    return images.numpy().astype(np.float32)


def _find_head(image: np.ndarray, class_name: str) -> np.ndarray | None:
    from sperm_tf.explain.head_mask import find_head

    return None if class_name == WITHOUT_HEAD else find_head(image)


def _spread(chosen: list[SourceImage], count: int) -> list[int]:
    """Rows of as many images of every class, in their order."""
    few = {image.image_id for image in sample(chosen, count)}
    return [row for row, image in enumerate(chosen) if image.image_id in few]


def _name_images(
    rows: pd.DataFrame, chosen: list[SourceImage], names: tuple[str, ...], predicted: list[str]
) -> pd.DataFrame:
    """Puts what is known of the image in place of its number."""
    identities = pd.DataFrame(
        {
            "image_id": [source.image_id for source in chosen],
            "group_id": [source.group_id for source in chosen],
            "label": [names[source.label] for source in chosen],
            "predicted": predicted,
        }
    )
    numbers = rows.pop("row").to_numpy()
    return pd.concat([identities.iloc[numbers].reset_index(drop=True), rows.reset_index(drop=True)], axis=1)
