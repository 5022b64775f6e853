"""ShuffledFit: a label-randomised control, a network that memorised shuffled labels."""

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


class ShuffledFit(Component):
    """Trains on the images of a fit with their labels dealt out anew.

    Source: Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, arXiv:1810.03292, section 3.2.

    Layout: `model.keras`, `history.json`, and `fit.json` with `train_accuracy`, the share of the shuffled labels that
    the network knows: only one that knows nearly all has learnt something, if nothing about sperm.

    Args:
        config: the recipe, see `pipelines.cross_validation.recipes.memorizing`, and which fit's images to train on.
        **inputs: `examples` from Transform.
    """

    config: FitConfig

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Shuffles, trains, and measures what was memorised."""
        import keras
        import numpy as np
        import tensorflow as tf

        from sperm_tf.training.fit import predict_probabilities, train_on_arrays

        keras.backend.clear_session()
        table = fits.read_table(inputs["examples"].directory)
        partition = fits.partition_of(table, self.config)
        trainer = fits.seeded(self.config)
        if trainer.deterministic:
            tf.config.experimental.enable_op_determinism()
        images = table.images[partition.train]
        shuffled = np.random.default_rng(trainer.seed).permutation(table.labels[partition.train])
        result = train_on_arrays(
            (images, shuffled),
            (table.images[partition.validation], table.labels[partition.validation]),
            num_classes=len(table.class_names),
            config=trainer,
            work_dir=context.work_dir,
            verbose="auto" if sys.stdout.isatty() else 2,
        )
        known = predict_probabilities(result.model, images, views=trainer.views).argmax(axis=1) == shuffled
        summary = {"train_accuracy": round(float(known.mean()), 6), "num_epochs": len(result.history["loss"])}
        result.model.save(output / "model.keras")
        shutil.copyfile(context.work_dir / "history.json", output / "history.json")
        (output / "fit.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        return summary
