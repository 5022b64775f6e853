"""FinalCalibrator: the decision rule of a model that was trained on every image."""

from __future__ import annotations

import functools
import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.cross_validation import fits
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext, StageError
from sperm_tf.config import NUM_FOLDS, CalibratorConfig
from sperm_tf.file_digests import digest_file

_MODEL_FILES = ("model.keras", "model.json")
_BATCH_SIZE = 32


class FinalCalibrator(Component):
    """Fits the rule of a final model to the predictions that its recipe gave out of fold.

    No image is left that the final model has not seen. What is known of its kind is how the five networks of the first
    repeat answered images that each had not seen: the temperature, the sets and the threshold are fitted to those
    answers (cross-conformal prediction, Vovk 2015, Annals of Mathematics and Artificial Intelligence 74:9-28). Their
    promises are those of the five networks; the final one, trained on more images by the same recipe, is taken to be no
    worse. How familiar an image is, is measured with the final model's own features, the limit from folds that took no
    part in each estimate.

    Layout: that of the Calibrator without `saved_model/`.

    Args:
        config: what is promised.
        answers: the published answers of the model, `<model>.csv`.
        **inputs: `model` from FinalFit and `examples` from Transform.
    """

    config: CalibratorConfig
    version = 7  # the rule knows the composition of the training images

    def __init__(self, config: CalibratorConfig, *, answers: pathlib.Path, **inputs: Any):
        super().__init__(config, **inputs)
        self._answers = answers

    def external_inputs(self, inputs: Mapping[str, Artifact], context: RunContext) -> dict[str, Any]:
        """Identifies the published predictions by their content."""
        del inputs, context
        if not self._answers.is_file():
            raise StageError(
                f"answers must be published before a final model is calibrated. Received: {self._answers}, which does "
                "not exist. Run the same command without --final first."
            )
        return {"answers_sha256": digest_file(self._answers)}

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Reads the predictions, computes the model's features, and fits."""
        import keras

        from sperm_tf.decision.familiarity import Familiarity
        from sperm_tf.decision.fitting import fit_rule
        from sperm_tf.evaluation.cross_validation import oof_file, oof_trust
        from sperm_tf.models.composition import NUM_NUMBERS
        from sperm_tf.models.views import build_style_model

        del context
        for name in _MODEL_FILES:
            shutil.copyfile(inputs["model"].directory / name, output / name)
        views = json.loads((output / "model.json").read_text(encoding="utf-8"))["views"]
        table = fits.read_table(inputs["examples"].directory)
        logits, labels = oof_trust.calibration_answers(oof_file.read_csv(self._answers, complete=False))
        if len(labels) != len(table):
            raise StageError(
                f"answers must hold all {len(table)} images in their first repeat. Received: {self._answers} with "
                f"{len(labels)}. Finish the cross-validation of these images first."
            )
        style = build_style_model(keras.models.load_model(output / "model.keras", compile=False), views=views)
        # Images are sorted by name, so by class and patient: the first ones would be of the first classes alone.
        some = np.sort(np.random.default_rng(0).permutation(len(table))[: self.config.max_training_images])
        features = style.predict(table.images[some], batch_size=_BATCH_SIZE // views, verbose=0)
        folds = table.folds[some]
        fit = functools.partial(Familiarity.fit, num_composition=NUM_NUMBERS)
        measured = np.concatenate(
            [
                keras.ops.convert_to_numpy(fit(features[folds != fold]).measure(features[folds == fold]))
                for fold in range(NUM_FOLDS)
            ]
        )
        rule = fit_rule(logits, labels, self.config, familiarity=fit(features), measured=measured)
        rule.write(output, model=output / "model.keras")
        return {
            **inputs["model"].properties,
            "num_calibration_images": rule.num_images,
            "temperature": rule.temperature,
            "guarantees": bool(np.isfinite(rule.min_confidence)),
        }
