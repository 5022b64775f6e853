"""Bilinear enlargement of features by two, for any height and width."""

# ruff: noqa: D102  (the methods without a docstring are keras.layers.Layer's own)

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sperm_tf")
class DoubleSize(keras.layers.Layer):
    """Enlarges features bilinearly, as `keras.layers.UpSampling2D(2, interpolation="bilinear")`.

    Pixels are repeated, and averaged with weights 1/4, 1/2, 1/4, which is the same; beyond the border the edge counts.
    The layer of Keras cannot be exported for images of any size: it compares sizes that are not known.

    Input: [B, H, W, C]. Output: [B, 2 * H, 2 * W, C].
    """

    def call(self, features):
        for axis in (1, 2):
            repeated = ops.repeat(features, 2, axis=axis)
            inner = (slice(None),) * axis
            before = ops.concatenate([repeated[(*inner, slice(0, 1))], repeated[(*inner, slice(0, -1))]], axis=axis)
            after = ops.concatenate(
                [repeated[(*inner, slice(1, None))], repeated[(*inner, slice(-1, None))]], axis=axis
            )
            features = 0.25 * before + 0.5 * repeated + 0.25 * after
        return features

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return batch, None if height is None else 2 * height, None if width is None else 2 * width, channels
