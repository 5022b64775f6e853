"""The classifier: a backbone, its last feature map, and a linear head."""

from __future__ import annotations

import re

import keras

from sperm_tf.config import ModelConfig
from sperm_tf.layers.white_point import WhitePoint
from sperm_tf.models import released
from sperm_tf.models import weights as weights_lib
from sperm_tf.models.registry import BACKBONES, find_backbone

FEATURE_MAP = "feature_map"
LOGITS = "logits"
_IMAGENET = {name for backbone in BACKBONES.values() for name in backbone.imagenet_weights}
RESCALING = "rescale_pixels"
"""The layer of every backbone that the image enters."""
_PATH_STEPS = 4


def build_classifier(config: ModelConfig, *, num_classes: int, image_size: int) -> keras.Model:
    """Builds one flat functional model under the current dtype policy (`keras.config.set_dtype_policy`).

    Layers that others rely on: `image` (input, float32 [B, S, S, 3], 0-255: the model rescales inside itself, nothing
    before it may), `white_point` (only where that is set), `cbam_<where>` (only in backbones with CBAM, whose settings
    `cbam_after` and `reduction` the others ignore), `feature_map` (the last one, [B, h, w, C]), `logits` (output,
    float32 [B, num_classes] under every policy, no softmax), and those that the backbone's entry in
    `sperm_tf.models.registry` names.

    Args:
        config: the architecture.
        num_classes: at least 2.
        image_size: S, of a size that the backbone's entry allows.

    Raises:
        ValueError: a setting is invalid.
        WeightsError: the weights cannot be had or do not fit; a ValueError, too.
    """
    _validate(config, num_classes=num_classes, image_size=image_size)
    image = keras.Input((image_size, image_size, 3), name="image", dtype="float32")
    backbone = _build_backbone(config, image)
    features = keras.layers.Identity(name=FEATURE_MAP)(backbone.output)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    dropped = keras.layers.Dropout(config.dropout, name="dropout")(pooled)
    logits = keras.layers.Dense(num_classes, dtype="float32", name=LOGITS)(dropped)
    model = keras.Model(backbone.input, logits, name=config.name)
    return _with_white_point(model) if config.white_point else model


def explained_layer(model: keras.Model) -> str:
    """Name of the layer that maps are made of: that of the backbone's entry, or `feature_map` of a foreign model."""
    backbone = BACKBONES.get(model.name)
    return FEATURE_MAP if backbone is None else backbone.explained_layer


def path_steps(model: keras.Model) -> int:
    """Steps of the path of layer integrated gradients: those of the backbone's entry, or 4 of a foreign model."""
    backbone = BACKBONES.get(model.name)
    return _PATH_STEPS if backbone is None else backbone.path_steps


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that pretrained weights fill and phase 1 freezes: up to `feature_map`, without CBAM.

    Args:
        model: of `build_classifier`.

    Raises:
        ValueError: the model has no layer `feature_map`.
    """
    names = [layer.name for layer in model.layers]
    if FEATURE_MAP not in names:
        raise ValueError(
            f"model must have a layer {FEATURE_MAP!r} that ends its backbone. Received: model={model.name!r} without "
            "it. Build it with sperm_tf.models.classifier.build_classifier."
        )
    return [layer for layer in model.layers[: names.index(FEATURE_MAP)] if not layer.name.startswith("cbam_")]


def first_stages(model: keras.Model, num_stages: int) -> list[keras.layers.Layer]:
    """The layers of an EfficientNet from the image to the end of a stage (Tan and Le 2019, table 1), without CBAM.

    Args:
        model: of `build_classifier`.
        num_stages: 1-7: the stem and the blocks `block1` to `block<num_stages>`.

    Raises:
        ValueError: the model has no such stage.
    """
    layers = backbone_layers(model)
    last = [index for index, layer in enumerate(layers) if re.match(rf"block{num_stages}\D", layer.name)]
    if not last:
        raise ValueError(
            f"model must have the stages of an EfficientNet. Received: {model.name!r} without a layer of "
            f"block{num_stages}. Freeze none."
        )
    return layers[: last[-1] + 1]


def _with_white_point(model: keras.Model) -> keras.Model:
    """The same model, its images balanced before they are rescaled."""

    def call_layer(layer: keras.layers.Layer, *args, **kwargs):
        if layer.name == RESCALING:
            args = (WhitePoint(name="white_point")(args[0]), *args[1:])
        return layer(*args, **kwargs)

    balanced = keras.models.clone_model(model, call_function=call_layer)
    for layer in model.layers:
        if layer.weights:
            weights_lib.copy_layer_weights(layer, balanced.get_layer(layer.name))
    return balanced


def _build_backbone(config: ModelConfig, image: keras.KerasTensor) -> keras.Model:
    """The backbone with its initial weights, checked against its entry."""
    entry = find_backbone(config.name)
    if config.weights in _IMAGENET and config.weights not in entry.imagenet_weights:
        choices = ", ".join(map(repr, (*entry.imagenet_weights, "none")))
        raise weights_lib.WeightsError(
            f"weights must be {choices}, or the path of a file, for {config.name}. Received: "
            f"weights={config.weights!r}, which are weights of another network."
        )
    file = None if entry.imagenet_weights else released.find_weights_file(config.weights)
    backbone = entry.load_builder()(image, config)
    if file is not None:
        weights_lib.load_weights_file(backbone, file)
    names = {layer.name for layer in backbone.layers} | {FEATURE_MAP}
    missing = [name for name in (RESCALING, *entry.early_layers, entry.explained_layer) if name not in names]
    if missing:
        raise ValueError(
            f"{entry.builder} must build the layers that its entry in sperm_tf.models.registry names, and "
            f"{RESCALING!r}. Received: a model without {', '.join(map(repr, missing))}. Name the layers so, or correct "
            "the entry."
        )
    return backbone


def _validate(config: ModelConfig, *, num_classes: int, image_size: int) -> None:
    entry = find_backbone(config.name)
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2. Received: num_classes={num_classes}.")
    if image_size < entry.min_image_size:
        raise ValueError(
            f"image_size must be at least {entry.min_image_size} pixels for {config.name}. Received: "
            f"image_size={image_size}."
        )
    side = entry.image_size_multiple
    if image_size % side:
        raise ValueError(
            f"image_size must be a multiple of {side} for {config.name}. Received: image_size={image_size}. Use "
            f"{image_size // side * side} or {(image_size // side + 1) * side}."
        )
