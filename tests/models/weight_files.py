"""Small releases for tests."""

import hashlib

import keras
import numpy as np

from sperm_tf.models import half_precision, released
from sperm_tf.models.classifier import build_classifier


def build(config, *, num_classes=3, image_size=32, seed=0):
    """A model whose every weight is random, normalizations included."""
    keras.utils.set_random_seed(seed)
    model = build_classifier(config, num_classes=num_classes, image_size=image_size)
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        elif layer.name.startswith("cbam_") or layer.name == "logits":
            layer.set_weights([generator.normal(0, 0.3, weight.shape) for weight in layer.get_weights()])
    return model


def release(folder, name, config, *, image_size=32, class_names=("a", "b", "c"), views=1, seed=0):
    """Puts a release into a folder, beside those that are there."""
    model = build(config, num_classes=len(class_names), image_size=image_size, seed=seed)
    path = folder / f"{name}.npz"
    half_precision.save_weights(model, path)
    entry = released.Release(
        name=name,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        num_bytes=path.stat().st_size,
        model=config,
        class_names=tuple(class_names),
        image_size=image_size,
        views=views,
        training={},
        folder=folder,
    )
    others = released.read_manifest(folder) if (folder / "manifest.json").is_file() else {}
    released.write_manifest({**others, name: entry}, folder)
    return model
