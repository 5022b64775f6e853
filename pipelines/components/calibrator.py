"""Calibrator: what the trained model's answers are worth, and the model that is served."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.artifacts import Artifact
from pipelines.component import Component, RunContext
from sperm_tf.config import CalibratorConfig
from sperm_tf.data import examples

NUM_WARMUP_IMAGES = 4
_MODEL_FILES = ("model.keras", "model.json")
_BATCH_SIZE = 32


class Calibrator(Component):
    """Fits the decision rule to the calibration split, and exports the model with the rule in its graph.

    Layout: `model.keras` and `model.json` (the Trainer's), `decision.json` and `familiarity.npz`
    (`sperm_tf.decision.rule`), `saved_model/` (what is evaluated and served: unlike `model.keras`, it averages its
    answers over the views, calibrates them, and says when to look again).
    """

    config: CalibratorConfig

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Asks the model about calibration and training images, fits and exports."""
        import keras

        from sperm_tf.decision.familiarity import Familiarity
        from sperm_tf.decision.fitting import fit_rule
        from sperm_tf.serving.export import export_saved_model
        from sperm_tf.serving.warmup import write_warmup_requests

        del context
        for name in _MODEL_FILES:
            shutil.copyfile(inputs["model"].directory / name, output / name)
        info = json.loads((output / "model.json").read_text(encoding="utf-8"))
        model = keras.models.load_model(output / "model.keras", compile=False)
        folder = inputs["examples"].directory
        logits, features, labels = _ask(model, folder, "calibration", views=info["views"])
        _, familiar, _ = _ask(model, folder, "train", views=info["views"], limit=self.config.max_training_images)
        familiarity = Familiarity.fit(familiar)
        distances = keras.ops.convert_to_numpy(familiarity.distance(features))
        rule = fit_rule(logits, labels, self.config, familiarity=familiarity, distances=distances)
        rule.write(output)
        served = {name: info[name] for name in ("class_names", "image_size", "views")}
        export_saved_model(model, output / "saved_model", **served, rule=rule)
        write_warmup_requests(output / "saved_model", _first_images(folder, NUM_WARMUP_IMAGES))
        return {
            "num_images": rule.num_images,
            "temperature": rule.temperature,
            "guarantees": bool(np.isfinite(rule.min_confidence)),
        }


def _ask(
    model: Any, folder: pathlib.Path, split: str, *, views: int, limit: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, features and labels of the first images of a split."""
    from sperm_tf.data import batches
    from sperm_tf.models.views import build_answering_model

    images = batches.read_images(folder, split)
    if limit is not None:
        images = images.take(limit)
    labels = batches.read_labels(images)
    answering = build_answering_model(model, views=views)
    if not len(labels):
        empty = {name: np.zeros((0, output.shape[-1]), np.float32) for name, output in answering.output.items()}
        return empty["logits"], empty["features"], labels
    num_classes = model.output_shape[-1]
    pixels = batches.evaluation_batches(images, num_classes=num_classes, batch_size=_BATCH_SIZE // views)
    answers = answering.predict(pixels, verbose=0)
    return answers["logits"], answers["features"], labels


def _first_images(folder: pathlib.Path, count: int) -> list[bytes]:
    serialized = examples.read_serialized(examples.shard_paths(folder, "train")).take(count)
    return [bytes(examples.from_example(row)["image"]) for row in serialized.as_numpy_iterator()]
