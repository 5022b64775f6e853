"""Learned position embeddings of a Vision Transformer."""

# ruff: noqa: D102  (the methods without a docstring are keras.layers.Layer's own)

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable(package="sperm_tf")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector to every position (Dosovitskiy et al. 2021, arXiv:2010.11929, equation 1).

    Input and output: features [B, h, w, C] in the layer's compute dtype; h, w and C are known.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: the input is not 4D, or its size is unknown.
    """

    def build(self, input_shape):
        if len(input_shape) != 4 or None in input_shape[1:]:
            raise ValueError(
                "input of PositionEmbedding must be a feature map [batch, height, width, channels] of a known size. "
                f"Received: shape={tuple(input_shape)}. Give the model's input a fixed size."
            )
        self.embeddings = self.add_weight(
            name="embeddings", shape=input_shape[1:], initializer=keras.initializers.TruncatedNormal(stddev=0.02)
        )

    def call(self, features):
        return features + self.embeddings

    def compute_output_shape(self, input_shape):
        return input_shape
