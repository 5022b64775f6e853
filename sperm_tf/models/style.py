"""Early-layer feature statistics: what the first layers see of an image's colours and textures, wherever they are.

Whether an image comes from a microscope like the one that the network was trained with shows there, and not in the last
layer, which keeps what tells the classes apart and forgets the rest.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from sperm_tf.models.classifier import FEATURE_MAP
from sperm_tf.models.registry import BACKBONES

_EPSILON = 1e-6


def early_maps(model: keras.Model) -> list[Any]:
    """The symbolic outputs of a model's early layers: [B, h, w, K], or tokens [B, N, K].

    Args:
        model: of `sperm_tf.models.classifier.build_classifier`, with the layers of its backbone's entry in
            `sperm_tf.models.registry`. A foreign model, of another name, is asked for its feature map, with a warning.
    """
    backbone = BACKBONES.get(model.name)
    if backbone is None:
        warnings.warn(
            f"{model.name!r} is no backbone of sperm_tf.models.registry: its out-of-distribution features are those of "
            f"its layer {FEATURE_MAP!r}, in which unlike images look alike.",
            stacklevel=2,
        )
    names = (FEATURE_MAP,) if backbone is None else backbone.early_layers
    return [model.get_layer(name).output for name in names]


def summarize_style(maps: Sequence[Any]) -> Any:
    """Mean and logarithm of the standard deviation of every channel over the image.

    An image of half the contrast has half the deviations: half is far from one, in units of how images differ, only as
    a logarithm.

    Args:
        maps: one or more of [B, h, w, K] or [B, N, K].

    Returns:
        float32 [B, D], D twice the number of all channels: all means, then all natural logarithms.
    """
    means, deviations = [], []
    for features in maps:
        features = ops.cast(features, "float32")
        mean, variance = ops.moments(features, axes=tuple(range(1, len(features.shape) - 1)))
        means.append(mean)
        deviations.append(ops.log(variance + _EPSILON) / 2)
    return ops.concatenate([*means, *deviations], axis=1)
