"""FoldCalibrator: a network of a cross-validation as it would be served, to be audited on images that it never saw."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.cross_validation import fits
from pipelines.cross_validation.fold_model import FOLD_FILE
from pipelines.orchestration.artifacts import Artifact, to_jsonable
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.config import CalibratorConfig, FitConfig

_BATCH_SIZE = 32


class FoldCalibrator(Component):
    """Fits the rule of one network to the predictions that the repeat's other four networks gave out of fold.

    This is how the rule of a released model is made (`FinalCalibrator`), less the fold that this network is tested on.
    What is familiar, the network's own training images teach; the limit, its validation and calibration parts.

    Layout: `model.keras`, `model.json`, `decision.json` and `familiarity.npz`, so that `sperm_tf.load_model` opens it;
    `fold.json`: `model`, `repeat`, `fold`, and `tested`, the image ids of the test part.

    Args:
        config: what is promised.
        fit_config: which fit it is.
        answers: rows of `sperm_tf.evaluation.cross_validation.oof`, with every fold of the fit's repeat.
        **inputs: `fit` from Fit and `examples` from Transform.
    """

    config: CalibratorConfig
    version = 4  # the rule knows the composition of the training images

    def __init__(self, config: CalibratorConfig, *, fit_config: FitConfig, answers: Any, **inputs: Any):
        super().__init__(config, **inputs)
        self._fit_config = fit_config
        self._answers = answers

    def external_inputs(self, inputs: Mapping[str, Artifact], context: RunContext) -> dict[str, Any]:
        """Identifies the other folds' predictions by their content."""
        del inputs, context
        return {"answers": fits.digest_rows(self._answers)}

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Fits the rule, and writes the network down as one that can be loaded."""
        import keras

        from sperm_tf.decision.familiarity import Familiarity
        from sperm_tf.decision.fitting import fit_rule
        from sperm_tf.evaluation.cross_validation import oof_trust
        from sperm_tf.models.composition import NUM_NUMBERS
        from sperm_tf.models.views import build_style_model

        del context
        config = self._fit_config
        shutil.copyfile(inputs["fit"].directory / "model.keras", output / "model.keras")
        table = fits.read_table(inputs["examples"].directory)
        partition = fits.partition_of(table, config)
        fits.check_answered(table, partition, inputs["fit"].directory / fits.ANSWERS_FILE)
        views = config.trainer.views
        style = build_style_model(keras.models.load_model(output / "model.keras", compile=False), views=views)

        def styles_of(indices: np.ndarray) -> np.ndarray:
            return style.predict(table.images[indices], batch_size=_BATCH_SIZE // views, verbose=0)

        # Images are sorted by name, so by class and patient: the first ones would be of the first classes alone.
        some = np.random.default_rng(0).permutation(partition.train)[: self.config.max_training_images]
        familiarity = Familiarity.fit(styles_of(np.sort(some)), num_composition=NUM_NUMBERS)
        aside = np.concatenate([partition.validation, partition.calibration])
        measured = keras.ops.convert_to_numpy(familiarity.measure(styles_of(aside)))
        answers = oof_trust.calibration_answers(self._answers, repeat=config.repeat, without_fold=config.fold)
        rule = fit_rule(*answers, self.config, familiarity=familiarity, measured=measured)
        rule.write(output)
        info = {
            "class_names": list(table.class_names),
            "image_size": table.images.shape[1],
            "views": views,
            "config": to_jsonable(config.trainer),
            "num_images": len(partition.train),
        }
        _write_json(output / "model.json", info)
        fold = {"model": config.trainer.model.name, "repeat": config.repeat, "fold": config.fold}
        _write_json(output / FOLD_FILE, {**fold, "tested": table.image_ids[partition.test].tolist()})
        return {**fold, "num_calibration_images": rule.num_images, "guarantees": bool(np.isfinite(rule.min_confidence))}


def _write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
