"""Models with released weights."""

from __future__ import annotations

import dataclasses

import keras

from sperm_tf.models import half_precision, released
from sperm_tf.models.classifier import build_classifier


def load_released(name: str) -> keras.Model:
    """Builds the model of a release of this package, with its weights; needs no network.

    Args:
        name: such as `smids`.

    Raises:
        WeightsError: there is no such release, or its file is missing or damaged.
    """
    return build_released(released.find_release(name))


def build_released(release: released.Release) -> keras.Model:
    """Builds the model of a release, with its weights.

    Raises:
        WeightsError: the file is missing, damaged, or of another model than the release says.
    """
    file = release.verify()
    # The backbone takes its weights while it is built: what stands in front of it depends on where they came from.
    config = dataclasses.replace(release.model, weights=str(file))
    model = build_classifier(config, num_classes=len(release.class_names), image_size=release.image_size)
    half_precision.assign_layers(model.layers, half_precision.read_weights(file))
    return model
