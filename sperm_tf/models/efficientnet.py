"""EfficientNetB0, with CBAM after any of its blocks, as one flat functional model.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
arXiv:1905.11946, as `keras.applications` builds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from sperm_tf.config import ModelConfig
from sperm_tf.layers.attention import CBAM
from sperm_tf.models import half_precision, released
from sperm_tf.models import weights as weights_lib

TOP = "top"

# Keras Applications stores ImageNet's standard deviations where its Normalization layer expects variances, and
# makes up for it by one more division by sqrt(std): https://github.com/tensorflow/tensorflow/issues/49930
_IMAGENET_STDDEV_RGB = (0.229, 0.224, 0.225)

# Keras numbers these three by their count in the process; a weights file needs names that stay.
_STABLE_NAMES = ("rescale_pixels", "normalize_pixels", "rescale_imagenet")


def build_efficientnet_b0(image: keras.KerasTensor, config: ModelConfig) -> keras.Model:
    """The network without CBAM, see `build_with_cbam`."""
    return build_with_cbam(
        image, weights=config.weights, cbam_after=(), reduction=config.reduction, norm_momentum=config.norm_momentum
    )


def build_efficientnet_b0_cbam(image: keras.KerasTensor, config: ModelConfig) -> keras.Model:
    """The network with CBAM, see `build_with_cbam`.

    Raises:
        ValueError: no place for a CBAM is named; or as there.
    """
    if not config.cbam_after:
        raise ValueError(
            "model.cbam_after must name at least one place. Received: cbam_after=(). For no CBAM set "
            "model.name='efficientnet_b0'."
        )
    return build_with_cbam(
        image,
        weights=config.weights,
        cbam_after=config.cbam_after,
        reduction=config.reduction,
        norm_momentum=config.norm_momentum,
    )


def build_with_cbam(
    image: keras.KerasTensor, *, weights: str, cbam_after: Sequence[str], reduction: int, norm_momentum: float
) -> keras.Model:
    """EfficientNetB0 of `keras.applications` without its top, with CBAM layers `cbam_<where>` inserted.

    The plain network is built and given its weights first, then cloned with the insertions, and the weights are
    copied by layer name: so they load wherever CBAM stands. BatchNormalization gets another momentum on the way. A CBAM
    takes the weights of the one that stands in the same place of a pretrained classifier, where their shapes agree.

    Args:
        image: input [B, S, S, 3], S >= 32, 0-255; the network rescales inside.
        weights: `imagenet`, `none`, a release or a file, see `sperm_tf.models.weights`.
        cbam_after: places, see `resolve_places`.
        reduction: of `CBAM`.
        norm_momentum: momentum of BatchNormalization.

    Returns:
        Model image -> features [B, ceil(S/32), ceil(S/32), 1280].

    Raises:
        WeightsError: the weights cannot be had or do not fit.
        ValueError: a place is unknown, named twice, or has fewer channels than `reduction`.
    """
    plain, pretrained = _build_plain(image, weights)
    places = resolve_places(plain, cbam_after)
    names = _stable_names(plain)
    add_rescaling = _lacks_imagenet_rescaling(plain)

    def clone_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        config["name"] = names.get(layer.name, layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            config["momentum"] = norm_momentum
        return layer.__class__.from_config(config)

    def call_layer(layer: keras.layers.Layer, *args, **kwargs):
        features = layer(*args, **kwargs)
        if layer.name == "normalize_pixels" and add_rescaling:
            scale = [1 / stddev**0.5 for stddev in _IMAGENET_STDDEV_RGB]
            features = keras.layers.Rescaling(scale, name="rescale_imagenet")(features)
        if layer.name in places:
            features = CBAM(reduction, name=f"cbam_{places[layer.name]}")(features)
        return features

    backbone = keras.models.clone_model(
        plain, input_tensors=image, clone_function=clone_layer, call_function=call_layer
    )
    for layer in plain.layers:
        if layer.weights:
            weights_lib.copy_layer_weights(layer, backbone.get_layer(names.get(layer.name, layer.name)))
    _fill_cbam(backbone, places, plain, pretrained)
    return backbone


def resolve_places(plain: keras.Model, cbam_after: Sequence[str]) -> dict[str, str]:
    """Finds the layers that CBAM follows.

    Args:
        plain: EfficientNetB0 without top.
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


def _build_plain(image: keras.KerasTensor, weights: str) -> tuple[keras.Model, dict[str, np.ndarray]]:
    """The network without CBAM, and all arrays of the classifier that its weights came from, if it was one."""

    def build(source: str | None) -> keras.Model:
        return keras.applications.EfficientNetB0(include_top=False, weights=source, input_shape=image.shape[1:])

    if weights == "imagenet":
        return weights_lib.build_with_imagenet_weights(lambda: build("imagenet")), {}
    file = released.find_weights_file(weights)
    plain = build(None)
    return plain, {} if file is None else weights_lib.load_weights_file(plain, file, names=_stable_names(plain))


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


def _stable_names(plain: keras.Model) -> dict[str, str]:
    preprocessing = [
        layer.name for layer in plain.layers if isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization))
    ]
    return dict(zip(preprocessing, _STABLE_NAMES, strict=False))


def _lacks_imagenet_rescaling(plain: keras.Model) -> bool:
    """Whether the weights came from ImageNet through a file, for which Keras leaves its correction out."""
    if len(_stable_names(plain)) == len(_STABLE_NAMES):
        return False
    normalization = next(layer for layer in plain.layers if isinstance(layer, keras.layers.Normalization))
    variance = np.ravel(keras.ops.convert_to_numpy(normalization.adapt_variance))
    return np.allclose(variance, _IMAGENET_STDDEV_RGB, atol=1e-4)
