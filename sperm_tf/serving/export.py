"""The SavedModel that TensorFlow Serving loads: self-contained, so that neither sperm_tf nor Keras is needed."""

from __future__ import annotations

import json
import pathlib

import keras
import tensorflow as tf

from sperm_tf.decision.rule import DecisionRule
from sperm_tf.runtimes.registry import INFO_FILE
from sperm_tf.served_names import EXPLAIN, EXPLAIN_CLASSES, INPUT_NAMES, SERVING_DEFAULT, SERVING_EXAMPLES
from sperm_tf.serving import signatures
from sperm_tf.serving.sources import EXTRA


def export_saved_model(
    model: keras.Model,
    directory: str | pathlib.Path,
    *,
    class_names: list[str],
    image_size: int,
    views: int = 1,
    rule: DecisionRule | None = None,
) -> None:
    """Exports a classifier with its preprocessing, its decision rule and its explanation in the graph.

    The signatures `serving_default`, `serving_examples`, `explain` and `explain_classes` are described at
    `sperm_tf.serving.signatures.ServedClassifier`. The batch dimension is free. Nothing is compiled by XLA, which
    TensorFlow Serving switches off. Beside the graph, `assets.extra` holds what a report says of the model:
    `model.json` (class names, image size, views) and the rule (`sperm_tf.decision.rule`).

    Args:
        model: of `sperm_tf.models.classifier.build_classifier`; its outputs are logits.
        directory: where the SavedModel goes; it must not exist, or be empty. It is not written atomically.
        class_names: name of each class, in the order of the logits.
        image_size: side of the model's input in pixels.
        views: 1, or 8 to average every answer over the image's rotations by right angles and their mirror images,
            which costs eight times the computation and memory.
        rule: how sure an answer is, and when to refer; None refers every image as `not_calibrated`.

    Raises:
        ValueError: the arguments do not fit each other, Keras does not run on TensorFlow, or the directory is in use.
    """
    directory = pathlib.Path(directory)
    if directory.exists() and any(directory.iterdir()):
        raise ValueError(
            f"directory must be new or empty. Received: directory={str(directory)!r}, which holds files. "
            "Choose another one or remove its content"
        )
    classifier = signatures.ServedClassifier(
        model, class_names=class_names, image_size=image_size, views=views, rule=rule
    )
    functions = {
        SERVING_DEFAULT: classifier.classify,
        SERVING_EXAMPLES: classifier.classify_examples,
        EXPLAIN: classifier.explain,
        EXPLAIN_CLASSES: classifier.explain_classes,
    }
    archive = keras.export.ExportArchive()
    archive.track(classifier.network)
    for name, function in functions.items():
        spec = tf.TensorSpec([None], tf.string, name=INPUT_NAMES[name])
        archive.add_endpoint(name, function, input_signature=[spec])
    archive.write_out(str(directory), verbose=False)
    (directory / EXTRA).mkdir(exist_ok=True)
    info = {"class_names": list(class_names), "image_size": image_size, "views": views}
    (directory / EXTRA / INFO_FILE).write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    if rule is not None:
        rule.write(directory / EXTRA)
