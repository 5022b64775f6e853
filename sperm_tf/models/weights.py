"""Pretrained weights of a backbone: from ImageNet, from a release, or from a file."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping

import keras
import numpy as np

# The layers register themselves when these modules are imported; without them Keras cannot open our `.keras` files.
import sperm_tf.layers.attention
import sperm_tf.layers.position_embedding
import sperm_tf.layers.white_point  # noqa: F401
from sperm_tf.models import half_precision
from sperm_tf.models.errors import WeightsError as WeightsError
from sperm_tf.models.released import RELEASE_SUFFIX


def build_with_imagenet_weights(build: Callable[[], keras.Model]) -> keras.Model:
    """Runs a `keras.applications` constructor that downloads weights, or says what else there is.

    Args:
        build: calls the constructor with `weights="imagenet"`.

    Raises:
        WeightsError: the download failed or its checksum is wrong; never falls back to random weights.
    """
    try:
        return build()
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        raise WeightsError(
            "weights must be obtainable: 'imagenet' downloads efficientnetb0_notop.h5 of Keras Applications into "
            f"~/.keras/models, or $KERAS_HOME/models, and this failed: {error}. Received: weights='imagenet'. Check "
            "the network; or fetch that file elsewhere and set weights to its path; or set weights='synthetic', which "
            "comes with this package; or set weights='none' to start from random weights."
        ) from error


def load_weights_file(
    backbone: keras.Model, file: pathlib.Path, *, names: Mapping[str, str] | None = None
) -> dict[str, np.ndarray]:
    """Loads a file into a backbone; every variable of the backbone is set, or an error is raised.

    Args:
        backbone: without CBAM and without head.
        file: weights of the same backbone (`.weights.h5`, or Keras Applications' `.h5` without top), or a classifier
            of this project (`.keras`, or `.npz` as released), whose layers are matched by name.
        names: name of a layer of `backbone` -> its name in the classifier, where the two differ.

    Returns:
        All that a classifier holds, the layers that the backbone lacks included, named as in
        `sperm_tf.models.half_precision`; empty for the weights of a backbone.

    Raises:
        WeightsError: the file is unreadable, or holds other layers or shapes than the backbone.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        if file.suffix == ".keras":
            arrays = half_precision.layer_arrays(keras.models.load_model(file, compile=False).layers)
        elif file.suffix == RELEASE_SUFFIX:
            arrays = half_precision.read_weights(file)
        if arrays:
            half_precision.assign_layers(backbone.layers, arrays, names=names)
        else:
            backbone.load_weights(file)
    except Exception as error:  # h5py, zipfile and Keras raise a dozen kinds.
        raise WeightsError(
            f"weights must fit the backbone {backbone.name}. Received: weights={str(file)!r}, which does not: {error} "
            "Use a file of the same architecture without its classification layer, a .keras or released .npz "
            "classifier of this project with the same backbone, or weights='none'."
        ) from error
    return arrays


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives a clone of a flat functional model the variables of its original, layer by layer."""
    for original, layer in zip(source.layers, target.layers, strict=True):
        copy_layer_weights(original, layer)


def copy_layer_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Gives `target` the variables of `source`, a layer of the same class and shape."""
    target.set_weights(source.get_weights())
    if isinstance(target, keras.layers.Normalization):
        # It computes with constants of its own, which do not follow its variables.
        target.finalize_state()
