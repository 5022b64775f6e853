"""The classifier: a backbone, its last feature map, and a linear head."""

from __future__ import annotations

from collections.abc import Callable

import keras

from sperm_tf.config import ModelConfig
from sperm_tf.layers.white_point import WhitePoint
from sperm_tf.models import backbones, released, simple_cnn, vit
from sperm_tf.models import weights as weights_lib

FEATURE_MAP = "feature_map"
EXPLAINED_LAYERS = ("block3a_expand_activation",)
"""Layers that maps are made of, where a model has one: EfficientNetB0's last at a quarter of the input's resolution.

Its feature map is too coarse to explain: 4x4 cells of a 128-pixel crop, in which a trained network keeps what it found
wherever it likes. Every path to the logits leads through these layers (BUILD_NOTES.md has the comparison).
"""
LOGITS = "logits"
RESCALING = "rescale_pixels"
"""The layer of every backbone that the image enters."""

_FROM_SCRATCH: dict[str, Callable[[ModelConfig, keras.KerasTensor], keras.Model]] = {
    "simple_cnn": lambda config, image: simple_cnn.build_simple_cnn(image, norm_momentum=config.norm_momentum),
    "vit_tiny": lambda _, image: vit.build_vit_tiny(image),
}
_MIN_IMAGE_SIZES = {"simple_cnn": simple_cnn.MIN_IMAGE_SIZE, "vit_tiny": vit.PATCH_SIZE}


def build_classifier(config: ModelConfig, *, num_classes: int, image_size: int) -> keras.Model:
    """Builds one flat functional model under the current dtype policy (`keras.config.set_dtype_policy`).

    Layers that others rely on: `image` (input, float32 [B, S, S, 3], 0-255: the model rescales inside itself, nothing
    before it may), `white_point` (only where that is set), `cbam_<where>` (only in `efficientnet_b0_cbam`, whose
    settings `cbam_after` and `reduction` the other models ignore, as `vit_tiny` ignores `norm_momentum`), `feature_map`
    (the last one, [B, h, w, C], which maps explain in models without one of `EXPLAINED_LAYERS`), `logits` (output,
    float32 [B, num_classes] under every policy, no softmax).

    Args:
        config: the architecture.
        num_classes: at least 2.
        image_size: S, at least 16 for `simple_cnn`, 32 for EfficientNetB0, and a multiple of 16 for `vit_tiny`.

    Raises:
        ValueError: a setting is invalid.
        WeightsError: the weights cannot be had or do not fit; a ValueError, too.
    """
    _validate(config, num_classes=num_classes, image_size=image_size)
    image = keras.Input((image_size, image_size, 3), name="image", dtype="float32")
    if config.name in _FROM_SCRATCH:
        backbone = _build_from_scratch(config, image)
    else:
        backbone = backbones.build_efficientnet_b0(
            image,
            weights=config.weights,
            cbam_after=config.cbam_after if config.name == "efficientnet_b0_cbam" else (),
            reduction=config.reduction,
            norm_momentum=config.norm_momentum,
        )
    features = keras.layers.Identity(name=FEATURE_MAP)(backbone.output)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    dropped = keras.layers.Dropout(config.dropout, name="dropout")(pooled)
    logits = keras.layers.Dense(num_classes, dtype="float32", name=LOGITS)(dropped)
    model = keras.Model(backbone.input, logits, name=config.name)
    return _with_white_point(model) if config.white_point else model


def explained_layer(model: keras.Model) -> str:
    """Name of the layer that maps are made of: the first of `EXPLAINED_LAYERS`, else `feature_map`."""
    names = {layer.name for layer in model.layers}
    return next((name for name in EXPLAINED_LAYERS if name in names), FEATURE_MAP)


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


def _build_from_scratch(config: ModelConfig, image: keras.KerasTensor) -> keras.Model:
    if config.weights == "imagenet":
        raise weights_lib.WeightsError(
            f"weights must be 'none' or the path of a file for {config.name}, which nobody trained on ImageNet. "
            "Received: weights='imagenet'."
        )
    file = released.find_weights_file(config.weights)
    backbone = _FROM_SCRATCH[config.name](config, image)
    if file is not None:
        weights_lib.load_weights_file(backbone, file)
    return backbone


def _validate(config: ModelConfig, *, num_classes: int, image_size: int) -> None:
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2. Received: num_classes={num_classes}.")
    smallest = _MIN_IMAGE_SIZES.get(config.name, backbones.MIN_IMAGE_SIZE)
    if image_size < smallest:
        raise ValueError(
            f"image_size must be at least {smallest} pixels for {config.name}. Received: image_size={image_size}."
        )
    if config.name == "vit_tiny" and image_size % vit.PATCH_SIZE:
        raise ValueError(
            f"image_size must be a multiple of {vit.PATCH_SIZE} for vit_tiny, which cuts images into patches of that "
            f"side. Received: image_size={image_size}. Use {image_size // vit.PATCH_SIZE * vit.PATCH_SIZE} or "
            f"{(image_size // vit.PATCH_SIZE + 1) * vit.PATCH_SIZE}."
        )
    if config.name == "efficientnet_b0_cbam" and not config.cbam_after:
        raise ValueError(
            "model.cbam_after must name at least one place. Received: cbam_after=(). For no CBAM set "
            "model.name='efficientnet_b0'."
        )
