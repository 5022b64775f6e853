"""Convolutional Block Attention Module: a gate over channels, then a gate over positions.

Source: Woo, Park, Lee, Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, arXiv:1807.06521.
"""

# ruff: noqa: D102  (the methods without a docstring are keras.layers.Layer's own)

from __future__ import annotations

import keras
from keras import ops


def _check_feature_map(name: str, input_shape: tuple[int | None, ...]) -> int:
    if len(input_shape) != 4 or input_shape[-1] is None:
        raise ValueError(
            f"input of {name} must be a feature map [batch, height, width, channels] with a known number of "
            f"channels. Received: shape={tuple(input_shape)}. Insert it before the global pooling."
        )
    return input_shape[-1]


def _check_positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer. Received: {name}={value!r}.")
    return value


@keras.saving.register_keras_serializable(package="sperm_tf")
class ChannelAttention(keras.layers.Layer):
    """Multiplies every channel by a weight in 0-1 (Woo et al. 2018, equation 2).

    The weight is `sigmoid(MLP(average pooling) + MLP(max pooling))`. The two-layer MLP is shared by both; as in
    the authors' code its layers have biases, which start at zero.

    Input and output: features [B, h, w, C] in the layer's compute dtype.

    Args:
        reduction: the hidden layer of the MLP has `C // reduction` units; at most C.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: `reduction` is not a positive integer or, when built, is larger than C; or the input is not 4D.
    """

    def __init__(self, reduction: int = 16, **kwargs):
        super().__init__(**kwargs)
        self.reduction = _check_positive("reduction", reduction)

    def build(self, input_shape):
        channels = _check_feature_map("ChannelAttention", input_shape)
        if self.reduction > channels:
            raise ValueError(
                f"reduction must be at most the number of channels, {channels}. Received: "
                f"reduction={self.reduction}. Use a smaller reduction or insert the layer deeper in the network."
            )
        self.squeeze = keras.layers.Dense(
            channels // self.reduction,
            activation="relu",
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
            name="squeeze",
        )
        self.expand = keras.layers.Dense(channels, dtype=self.dtype_policy, name="expand")
        self.squeeze.build((input_shape[0], channels))
        self.expand.build((input_shape[0], channels // self.reduction))

    def attention(self, features):
        """The weight of every channel.

        Args:
            features: [B, h, w, C].

        Returns:
            Weights 0-1, shape [B, 1, 1, C], compute dtype.
        """
        features = ops.cast(features, self.compute_dtype)
        average = self.expand(self.squeeze(ops.mean(features, axis=(1, 2))))
        maximum = self.expand(self.squeeze(ops.max(features, axis=(1, 2))))
        return ops.expand_dims(ops.sigmoid(average + maximum), axis=(1, 2))

    def call(self, features):
        return features * self.attention(features)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}


@keras.saving.register_keras_serializable(package="sperm_tf")
class SpatialAttention(keras.layers.Layer):
    """Multiplies every position by a weight in 0-1 (Woo et al. 2018, equation 3).

    The weight is `sigmoid(convolution([average over channels, maximum over channels]))`. The convolution has no
    bias, as in the authors' code; their batch normalization behind it is not in the paper and not here.

    Input and output: features [B, h, w, C] in the layer's compute dtype.

    Args:
        kernel_size: side of the convolution's kernel, odd.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: `kernel_size` is not a positive odd integer, or the input is not 4D.
    """

    def __init__(self, kernel_size: int = 7, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = _check_positive("kernel_size", kernel_size)
        if kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size must be odd, so that the map stays centred. Received: kernel_size={kernel_size}."
            )

    def build(self, input_shape):
        _check_feature_map("SpatialAttention", input_shape)
        self.convolution = keras.layers.Conv2D(
            1,
            self.kernel_size,
            padding="same",
            use_bias=False,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.convolution.build((*input_shape[:-1], 2))

    def attention(self, features):
        """The weight of every position.

        Args:
            features: [B, h, w, C].

        Returns:
            Weights 0-1, shape [B, h, w, 1], compute dtype.
        """
        features = ops.cast(features, self.compute_dtype)
        average = ops.mean(features, axis=-1, keepdims=True)
        maximum = ops.max(features, axis=-1, keepdims=True)
        return ops.sigmoid(self.convolution(ops.concatenate([average, maximum], axis=-1)))

    def call(self, features):
        return features * self.attention(features)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable(package="sperm_tf")
class CBAM(keras.layers.Layer):
    """Channel attention followed by spatial attention (Woo et al. 2018, equation 1 and section 3.2).

    Input and output: features [B, h, w, C] in the layer's compute dtype.

    Args:
        reduction: of `ChannelAttention`.
        kernel_size: of `SpatialAttention`.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: as the two layers.
    """

    def __init__(self, reduction: int = 16, kernel_size: int = 7, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.kernel_size = kernel_size
        self.channel_attention = ChannelAttention(reduction, dtype=self.dtype_policy, name="channel_attention")
        self.spatial_attention = SpatialAttention(kernel_size, dtype=self.dtype_policy, name="spatial_attention")

    def build(self, input_shape):
        self.channel_attention.build(input_shape)
        self.spatial_attention.build(input_shape)

    def attention_maps(self, features):
        """Both gates, as the layer applies them to `features`.

        Args:
            features: [B, h, w, C], the input of the layer.

        Returns:
            Channel weights [B, 1, 1, C] and spatial weights [B, h, w, 1], 0-1, compute dtype.
        """
        channel = self.channel_attention.attention(features)
        return channel, self.spatial_attention.attention(features * channel)

    def call(self, features):
        return self.spatial_attention(self.channel_attention(features))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction, "kernel_size": self.kernel_size}
