"""FinalFit: the recipe that a cross-validation judged, trained on every image of the dataset."""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from pipelines.cross_validation import fits
from pipelines.orchestration.artifacts import Artifact, to_jsonable
from pipelines.orchestration.component import Component, RunContext, StageError
from sperm_tf.config import FitConfig


class FinalFit(Component):
    """Trains on all images, for release; what it is worth, only the cross-validation says.

    No image is left to choose an epoch by: the last one is kept, as its recipe must demand. The figures that its
    history calls `val_` are of images that it trains on.

    Layout: `model.keras`, `model.json` (as the Trainer's), `history.json`.

    Raises:
        StageError: the recipe chooses its epoch; the networks that judged it were trained in another way than this one.
    """

    config: FitConfig

    def __init__(self, config: FitConfig, **inputs: Any):
        super().__init__(config, **inputs)
        trainer = config.trainer
        if trainer.checkpoint != "last" or trainer.early_stopping_patience:
            raise StageError(
                "A final model needs a recipe that keeps its last epoch: no image is left to choose one by, and its "
                "decision rule comes from networks of the same recipe. Received: "
                f"--config.trainer.checkpoint={trainer.checkpoint} and "
                f"--config.trainer.early_stopping_patience={trainer.early_stopping_patience}. Cross-validate and train "
                "it with --config.trainer.checkpoint=last --config.trainer.early_stopping_patience=0."
            )

    def external_inputs(self, inputs: Mapping[str, Artifact], context: RunContext) -> dict[str, Any]:
        """Identifies a file of initial weights by its content."""
        del inputs, context
        return {"weights_sha256": fits.weights_identity(self.config.trainer)}

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Trains and saves."""
        import keras
        import tensorflow as tf

        from sperm_tf.training.fit import train_on_arrays

        keras.backend.clear_session()
        trainer = fits.seeded(self.config)
        if trainer.deterministic:
            tf.config.experimental.enable_op_determinism()
        table = fits.read_table(inputs["examples"].directory)
        watched = fits.partition_of(table, self.config).validation
        result = train_on_arrays(
            (table.images, table.labels),
            (table.images[watched], table.labels[watched]),
            num_classes=len(table.class_names),
            config=trainer,
            work_dir=context.work_dir,
            verbose="auto" if sys.stdout.isatty() else 2,
        )
        result.model.save(output / "model.keras")
        shutil.copyfile(context.work_dir / "history.json", output / "history.json")
        info = {
            "class_names": list(table.class_names),
            "image_size": table.images.shape[1],
            "views": trainer.views,
            "config": to_jsonable(trainer),
            "num_images": len(table),
        }
        (output / "model.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
        return {"model": trainer.model.name, "num_images": len(table), "num_epochs": len(result.history["loss"])}
