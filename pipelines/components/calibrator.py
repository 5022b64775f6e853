"""Calibrator: the decision rule of the trained model, and the model that is served."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.orchestration import progress
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.config import CalibratorConfig
from sperm_tf.data import examples

NUM_WARMUP_IMAGES = 4
_MODEL_FILES = ("model.keras", "model.json")
_BATCH_SIZE = 32


class Calibrator(Component):
    """Fits the decision rule to images that the model did not learn from, and exports it with the rule in its graph.

    Those are the images of the calibration split; where the recipe chose nothing by the validation split (it kept the
    last epoch and never stopped early), that split's as well: a guarantee needs hundreds.

    Layout: `model.keras` and `model.json` (the Trainer's), `decision.json` and `familiarity.npz`
    (`sperm_tf.decision.rule`), `saved_model/` (what is evaluated and served: unlike `model.keras`, it averages its
    answers over the views, calibrates them, and says when to look again).
    """

    config: CalibratorConfig
    version = 10  # the rule knows the composition of the training images

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Predicts calibration and training images, fits and exports."""
        import keras

        from sperm_tf.decision.familiarity import Familiarity
        from sperm_tf.decision.fitting import fit_rule
        from sperm_tf.models.composition import NUM_NUMBERS
        from sperm_tf.models.views import build_answering_model, build_style_model
        from sperm_tf.serving.export import export_saved_model
        from sperm_tf.serving.warmup import write_warmup_requests

        del context
        for name in _MODEL_FILES:
            shutil.copyfile(inputs["model"].directory / name, output / name)
        info = json.loads((output / "model.json").read_text(encoding="utf-8"))
        views, num_classes = info["views"], len(info["class_names"])
        model = keras.models.load_model(output / "model.keras", compile=False)
        folder = inputs["examples"].directory
        aside = _read(folder, _held_aside(info["config"]))
        familiar = _draw(_read(folder, ["train"]), self.config.max_training_images)
        style = _predict(build_style_model(model, views=views), familiar, num_classes, views)
        answers = _predict(build_answering_model(model, views=views), aside, num_classes, views)
        familiarity = Familiarity.fit(style, num_composition=NUM_NUMBERS)
        measured = keras.ops.convert_to_numpy(familiarity.measure(answers["features"]))
        labels = np.array([label for _, label in aside.as_numpy_iterator()], np.int64)
        rule = fit_rule(answers["logits"], labels, self.config, familiarity=familiarity, measured=measured)
        rule.write(output, model=output / "model.keras")
        served = {name: info[name] for name in ("class_names", "image_size", "views")}
        export_saved_model(model, output / "saved_model", **served, rule=rule)
        write_warmup_requests(output / "saved_model", _first_images(folder, NUM_WARMUP_IMAGES))
        return {
            "num_images": rule.num_images,
            "temperature": rule.temperature,
            "guarantees": bool(np.isfinite(rule.min_confidence)),
        }


def _held_aside(trainer: Mapping[str, Any]) -> list[str]:
    chose_by_validation = trainer["checkpoint"] == "best" or trainer["early_stopping_patience"] > 0
    return ["calibration"] if chose_by_validation else ["calibration", "validation"]


def _read(folder: pathlib.Path, splits: list[str]) -> Any:
    """Images and labels of splits, one after the other."""
    from sperm_tf.data import batches

    first, *others = (batches.read_images(folder, split) for split in splits)
    for images in others:
        first = first.concatenate(images)
    return first


def _draw(images: Any, count: int) -> Any:
    """At most so many, drawn over all of them: the first ones would be of the first folds and patients alone."""
    import tensorflow as tf

    if len(images) <= count:
        return images
    is_drawn = np.zeros(len(images), bool)
    is_drawn[np.random.default_rng(0).permutation(len(images))[:count]] = True
    kept = tf.constant(is_drawn)
    drawn = images.enumerate().filter(lambda index, _: kept[index]).map(lambda _, row: row)
    return drawn.apply(tf.data.experimental.assert_cardinality(count))


def _predict(model: Any, images: Any, num_classes: int, views: int) -> Any:
    """The model's predictions; without an image, empty ones."""
    import keras

    from sperm_tf.data import batches

    if not len(images):
        return keras.tree.map_structure(lambda output: np.zeros((0, output.shape[-1]), np.float32), model.output)
    pixels = batches.evaluation_batches(images, num_classes=num_classes, batch_size=_BATCH_SIZE // views)
    progress.expect(-(-len(images) // (_BATCH_SIZE // views)), "batches")
    counting = keras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: progress.advance())
    return model.predict(pixels, verbose=0, callbacks=[counting])


def _first_images(folder: pathlib.Path, count: int) -> list[bytes]:
    serialized = examples.read_serialized(examples.shard_paths(folder, "train")).take(count)
    return [bytes(examples.from_example(row)["image"]) for row in serialized.as_numpy_iterator()]
