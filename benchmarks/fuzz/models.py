"""A small untrained model, as a SavedModel and as ONNX: what is fuzzed is what stands before the network."""

from __future__ import annotations

import pathlib

CLASS_NAMES = ("normal", "abnormal", "non-sperm")
IMAGE_SIZE = 32
SAVED_MODEL, ONNX = "saved_model", "onnx"


def export(folder: pathlib.Path) -> None:
    """Writes the SavedModel and the ONNX graph into a folder."""
    import keras

    from sperm_tf.config import ModelConfig
    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.serving.classifier import Classifier

    keras.utils.set_random_seed(0)
    network = build_classifier(ModelConfig(name="simple_cnn"), num_classes=len(CLASS_NAMES), image_size=IMAGE_SIZE)
    classifier = Classifier(network, CLASS_NAMES, IMAGE_SIZE)
    classifier.export(folder / SAVED_MODEL)
    classifier.export(folder / ONNX, format="onnx")
