"""White point: another lamp, camera or background stain changes the background, and no cell."""

# ruff: noqa: D102  (the methods without a docstring are keras.layers.Layer's own)

from __future__ import annotations

import keras
from keras import ops

TARGET = 220.0
"""What the empty slide becomes in every channel, of 255."""
BACKGROUND_QUANTILE = 0.75
"""Of a channel's values: most of a crop is empty slide, and all but dirt and stain is darker than it."""
MAX_GAIN = 4.0
"""A channel is multiplied by no more, and divided by no more: what is darker holds no empty slide."""
_STRIDE = 4  # every fourth pixel of every fourth row is sorted


@keras.saving.register_keras_serializable(package="sperm_tf")
class WhitePoint(keras.layers.Layer):
    """Multiplies every channel of every image so that the background is equally bright in all images and channels.

    The white balance of bright-field microscopy, by the crop itself: its empty slide is taken to be the quantile
    `BACKGROUND_QUANTILE` of each channel (a robust form of the white-patch rule; Land and McCann 1971, Journal of the
    Optical Society of America 61:1-11).

    Input and output: images [B, H, W, 3], 0-255; the result is kept within 0-255. It is float32 under every policy.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, images):
        sample = images[:, ::_STRIDE, ::_STRIDE]
        white = ops.quantile(sample, BACKGROUND_QUANTILE, axis=(1, 2), keepdims=True)
        gain = ops.clip(TARGET / ops.maximum(white, 1.0), 1 / MAX_GAIN, MAX_GAIN)
        return ops.clip(images * ops.stop_gradient(gain), 0.0, 255.0)

    def compute_output_shape(self, input_shape):
        return input_shape
