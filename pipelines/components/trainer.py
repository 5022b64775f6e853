"""Trainer: the training recipe on the transformed images."""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.orchestration.artifacts import Artifact, to_jsonable
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.config import TrainerConfig
from sperm_tf.data import examples
from sperm_tf.models.released import WITHOUT_FILE, find_weights_file, identify_weights


class Trainer(Component):
    """Trains a classifier; a killed training goes on after its last finished epoch.

    Layout: `model.keras` (the epoch that `checkpoint` names), `history.json`, `logs/` (TensorBoard),
    `model.json` (class names, image size, views, configuration).
    """

    config: TrainerConfig

    def __init__(self, config: TrainerConfig, **inputs: Any):
        super().__init__(config, **inputs)
        find_weights_file(config.model.weights)  # a wrong one is found before anything runs

    def external_inputs(self, inputs: Mapping[str, Artifact], context: RunContext) -> dict[str, Any]:
        """Identifies a file of initial weights by its content."""
        del inputs, context
        weights = self.config.model.weights
        return {} if weights in WITHOUT_FILE else {"weights_sha256": identify_weights(weights)}

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Trains, saves and exports."""
        import keras

        folder = inputs["examples"].directory
        class_names = examples.read_dataset_info(folder)["class_names"]
        image_size = json.loads((folder / "transform.json").read_text(encoding="utf-8"))["image_size"]
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.config.precision)
        try:
            result = self._train(folder, len(class_names), image_size, context.work_dir)
        finally:
            keras.config.set_dtype_policy(policy)
        result.model.save(output / "model.keras")
        shutil.copyfile(context.work_dir / "history.json", output / "history.json")
        shutil.copytree(context.work_dir / "logs", output / "logs")
        info = {
            "class_names": class_names,
            "image_size": image_size,
            "views": self.config.views,
            "config": to_jsonable(self.config),
        }
        (output / "model.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
        best = result.best_epoch - 1
        return {
            "model": self.config.model.name,
            "num_parameters": result.model.count_params(),
            "num_epochs": len(result.history["val_loss"]),
            "best_epoch": result.best_epoch,
            "val_loss": result.history["val_loss"][best],
            "val_accuracy": result.history["val_accuracy"][best],
        }

    def _train(self, folder: pathlib.Path, num_classes: int, image_size: int, work_dir: pathlib.Path) -> Any:
        import keras
        import tensorflow as tf

        from sperm_tf.data import batches
        from sperm_tf.models.classifier import build_classifier
        from sperm_tf.training import recipe

        if self.config.deterministic:
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(self.config.seed)
        model = build_classifier(self.config.model, num_classes=num_classes, image_size=image_size)
        validation = batches.read_images(folder, "validation")
        return recipe.train(
            model,
            self.epochs(folder, num_classes),
            batches.evaluation_batches(validation, num_classes=num_classes, batch_size=self.config.batch_size),
            config=self.config,
            work_dir=work_dir,
            logs_dir=work_dir / "logs",
            verbose="auto" if sys.stdout.isatty() else 2,  # a progress bar, or a line an epoch
        )

    def epochs(self, folder: pathlib.Path, num_classes: int) -> Callable[[int], Any]:
        """Function from the number of an epoch to its batches: order and augmentation depend on nothing else."""
        from sperm_tf.data import batches
        from sperm_tf.training.augmentation import build_augmentation
        from sperm_tf.training.class_weights import class_weights

        images = batches.read_images(folder, "train")
        weights = class_weights(batches.read_labels(images), num_classes) if self.config.class_weights else None

        def epoch_batches(epoch: int) -> Any:
            return batches.training_batches(
                images,
                num_classes=num_classes,
                batch_size=self.config.batch_size,
                seed=self.config.seed * 10_000 + epoch,
                augmentation=build_augmentation(self.config, epoch=epoch),
                class_weights=weights,
            )

        return epoch_batches
