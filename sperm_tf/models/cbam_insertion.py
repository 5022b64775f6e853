"""CBAM after any block of an EfficientNet whose layers are named as `keras.applications` names them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from sperm_tf.layers.attention import CBAM
from sperm_tf.models import half_precision
from sperm_tf.models import weights as weights_lib

TOP = "top"


def insert_cbam(
    image: keras.KerasTensor,
    plain: keras.Model,
    *,
    cbam_after: Sequence[str],
    reduction: int,
    norm_momentum: float,
    names: Mapping[str, str] | None = None,
    inserted: Mapping[str, keras.layers.Layer] | None = None,
    pretrained: Mapping[str, np.ndarray] | None = None,
) -> keras.Model:
    """Clones a network with CBAM layers `cbam_<where>` inserted, and copies its weights by layer name.

    So weights load wherever CBAM stands. BatchNormalization gets another momentum on the way. A CBAM takes the weights
    of the one that stands in the same place of a pretrained classifier, where their shapes agree.

    Args:
        image: input [B, S, S, 3], 0-255.
        plain: flat functional model without top and without CBAM, with its weights.
        cbam_after: places, see `resolve_places`.
        reduction: of `CBAM`.
        norm_momentum: momentum of BatchNormalization.
        names: name of a layer of `plain` -> its name in the result, where the two differ.
        inserted: name of a layer of the result -> a layer without weights that follows it.
        pretrained: arrays of a classifier, named as in `sperm_tf.models.half_precision`.

    Returns:
        Model image -> the last feature map of `plain`.

    Raises:
        ValueError: a place is unknown, named twice, or has fewer channels than `reduction`.
    """
    places, names, inserted = resolve_places(plain, cbam_after), names or {}, inserted or {}

    def clone_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        config["name"] = names.get(layer.name, layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            config["momentum"] = norm_momentum
        return layer.__class__.from_config(config)

    def call_layer(layer: keras.layers.Layer, *args, **kwargs):
        features = layer(*args, **kwargs)
        if layer.name in inserted:
            features = inserted[layer.name](features)
        if layer.name in places:
            features = CBAM(reduction, name=f"cbam_{places[layer.name]}")(features)
        return features

    backbone = keras.models.clone_model(
        plain, input_tensors=image, clone_function=clone_layer, call_function=call_layer
    )
    for layer in plain.layers:
        if layer.weights:
            weights_lib.copy_layer_weights(layer, backbone.get_layer(names.get(layer.name, layer.name)))
    _fill_cbam(backbone, places, plain, pretrained or {})
    return backbone


def resolve_places(plain: keras.Model, cbam_after: Sequence[str]) -> dict[str, str]:
    """Finds the layers that CBAM follows.

    Args:
        plain: the network without top.
        cbam_after: each `top` (the last feature map), a stage `block1` ... `block7` (its last layer), or the name
            of a block's last layer as Keras has it (`block3b_add`, `block3a_project_bn`).

    Returns:
        Name of the layer -> place as given.

    Raises:
        ValueError: a place is unknown, or two places are the same layer.
    """
    valid = _valid_places(plain)
    places: dict[str, str] = {}
    for place in cbam_after:
        if place not in valid:
            raise ValueError(f"cbam_after must name places among {', '.join(valid)}. Received: {place!r}.")
        if valid[place] in places:
            raise ValueError(
                f"cbam_after must name every place once. Received: {tuple(cbam_after)!r}, where "
                f"{places[valid[place]]!r} and {place!r} are the same layer. Remove one of them."
            )
        places[valid[place]] = place
    return places


def _valid_places(plain: keras.Model) -> dict[str, str]:
    """Place -> name of the layer that it stands for."""
    ends: dict[str, str] = {}  # a dict keeps the later of two assignments: the last layer of a block or stage
    stages: dict[str, str] = {}
    for layer in plain.layers:
        if match := re.match(r"((block\d)[a-z])_", layer.name):
            ends[match[1]] = layer.name
            stages[match[2]] = layer.name
    return {TOP: plain.layers[-1].name, **stages, **{name: name for name in ends.values()}}


def _fill_cbam(
    backbone: keras.Model, places: Mapping[str, str], plain: keras.Model, pretrained: Mapping[str, np.ndarray]
) -> None:
    """Gives every CBAM its pretrained weights, under whichever of its names the place was known there."""
    names = {key.partition("/")[0] for key in pretrained}
    valid = _valid_places(plain)
    sources = {valid[place]: name for name in names if (place := name.removeprefix("cbam_")) != name and place in valid}
    for layer, place in places.items():
        cbam = backbone.get_layer(f"cbam_{place}")
        if layer in sources and half_precision.fits(cbam, pretrained, name=sources[layer]):
            half_precision.assign_layers([cbam], pretrained, names={cbam.name: sources[layer]})
