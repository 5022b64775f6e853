"""Pretrained weights of a backbone: from ImageNet, or from a file."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping

import keras

# CBAM registers itself when this module is imported; without it Keras cannot open our `.keras` files.
import sperm_tf.layers.attention  # noqa: F401

SUFFIXES = (".weights.h5", ".h5", ".keras")


class WeightsError(ValueError):
    """Weights that cannot be had or do not fit the model."""


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
            "the network; or fetch that file elsewhere and set weights to its path; or set weights='none' to start "
            "from random weights."
        ) from error


def check_weights_file(path: str) -> pathlib.Path:
    """The file of a `weights` setting.

    Raises:
        WeightsError: there is no such file, or its name has none of `SUFFIXES`.
    """
    file = pathlib.Path(path).expanduser()
    choices = f"'imagenet', 'none' or the path of a file that ends in {', '.join(SUFFIXES)}"
    if not file.is_file():
        raise WeightsError(f"weights must be {choices}. Received: weights={path!r}, and no such file exists.")
    if not file.name.endswith(SUFFIXES):
        raise WeightsError(f"weights must be {choices}. Received: weights={path!r}.")
    return file


def load_weights_file(backbone: keras.Model, file: pathlib.Path, *, names: Mapping[str, str] | None = None) -> None:
    """Loads a file into a backbone; every variable of the backbone is set, or an error is raised.

    Args:
        backbone: without CBAM and without head.
        file: weights of the same backbone (`.weights.h5`, or Keras Applications' `.h5` without top), or a classifier
            of this project (`.keras`), whose layers are matched by name and whose other layers are left aside.
        names: name of a layer of `backbone` -> its name in the classifier, where the two differ.

    Raises:
        WeightsError: the file is unreadable, or holds other layers or shapes than the backbone.
    """
    try:
        if file.suffix == ".keras":
            _copy_by_name(keras.models.load_model(file, compile=False), backbone, names or {})
        else:
            backbone.load_weights(file)
    except Exception as error:  # h5py, zipfile and Keras raise a dozen kinds.
        raise WeightsError(
            f"weights must fit the backbone {backbone.name}. Received: weights={str(file)!r}, which does not: {error} "
            "Use a file of the same architecture without its classification layer, a .keras classifier of this "
            "project with the same backbone, or weights='none'."
        ) from error


def copy_layer_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Gives `target` the variables of `source`, a layer of the same class and shape."""
    target.set_weights(source.get_weights())
    if isinstance(target, keras.layers.Normalization):
        # It computes with constants of its own, which do not follow its variables.
        target.finalize_state()


def _copy_by_name(source: keras.Model, target: keras.Model, names: Mapping[str, str]) -> None:
    sources = {layer.name: layer for layer in source.layers}
    targets = [layer for layer in target.layers if layer.weights]
    missing = [name for layer in targets if (name := names.get(layer.name, layer.name)) not in sources]
    if missing:
        raise ValueError(f"it lacks {len(missing)} of {len(targets)} layers, the first is {missing[0]!r}.")
    for layer in targets:
        copy_layer_weights(sources[names.get(layer.name, layer.name)], layer)
