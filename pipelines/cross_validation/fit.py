"""Fit: one training of a cross-validation, and its predictions for the images that it was not trained on."""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from pipelines.cross_validation import fits
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.config import FitConfig
from sperm_tf.version import RECIPE_VERSION


class Fit(Component):
    """Trains on one part of a dataset and predicts the held-out parts.

    Layout: `predictions.csv` (`sperm_tf.evaluation.cross_validation.oof`, parts `test` and `calibration`),
    `history.json`, `model.keras` (the epoch that `checkpoint` names), `fit.json` (what `fits.json` says about it).

    The fingerprint holds what settles the result: the recipe, the partition, the images' identity and the initial
    weights; `fits.LEFT_OUT_OF_FINGERPRINT` says what it leaves out. So a result stays valid, and can be published and
    recognised elsewhere, until the recipe changes.
    """

    config: FitConfig
    version = RECIPE_VERSION

    def fingerprint_fields(self, inputs: Mapping[str, Artifact], context: RunContext) -> dict[str, Any]:
        """See the class."""
        del context
        return {
            "component": self.name,
            "component_version": self.version,
            "config": fits.recipe_of(self.config),
            "inputs": {},
            "external": {
                "images": fits.read_table(inputs["examples"].directory).identity(),
                "weights_sha256": fits.weights_identity(self.config.trainer),
            },
        }

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Checks that nothing leaks, trains, and writes the predictions."""
        import keras
        import tensorflow as tf

        from sperm_tf.evaluation.cross_validation import oof_file
        from sperm_tf.training.fit import run_fit

        keras.backend.clear_session()  # a sweep runs many fits in one process
        trainer = fits.seeded(self.config)
        if trainer.deterministic:
            tf.config.experimental.enable_op_determinism()
        table = fits.read_table(inputs["examples"].directory)
        partition = fits.partition_of(table, self.config)
        fit = run_fit(
            table.images,
            table.labels,
            partition,
            num_classes=len(table.class_names),
            config=trainer,
            work_dir=context.work_dir,
            verbose="auto" if sys.stdout.isatty() else 2,
        )
        answers = fits.answer_rows(table, partition, self.config, fit.probabilities)
        oof_file.write_csv(answers, output / fits.ANSWERS_FILE, complete=False)
        shutil.copyfile(context.work_dir / "history.json", output / "history.json")
        fit.model.save(output / "model.keras")
        summary = fits.summarize(
            table,
            partition,
            self.config,
            fit.probabilities,
            history=fit.history,
            best_epoch=fit.best_epoch,
            backend=keras.config.backend(),
        )
        (output / "fit.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        return dict(summary)
