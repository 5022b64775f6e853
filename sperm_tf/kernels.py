"""TensorFlow kernels that train a Keras model faster on a CPU, with the same results.

Keras 3 composes batch normalization of a dozen elementwise passes over memory, and TensorFlow differentiates swish in
as many. TensorFlow has one fused kernel for the first; XLA makes one loop of the second. Measured:
`python -m benchmarks.training_kernels`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import keras

_SWISH = ("silu", "swish")


@contextlib.contextmanager
def fused(model: keras.Model) -> Iterator[None]:
    """Lets the BatchNormalization and swish layers of a model compute with fused kernels while they train.

    Inference, saving and the weights are untouched. Does nothing on other backends than TensorFlow, and nothing where
    TensorFlow has a GPU, for which it was not tested. Compile the model within the context: a training step that was
    traced before keeps the kernels that it was traced with.

    Args:
        model: flat functional model.
    """
    layers = _fusible_layers(model) if _is_wanted() else {}
    for layer, call in layers.items():
        layer.call = call
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _is_wanted() -> bool:
    if keras.config.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _fusible_layers(model: keras.Model) -> dict:
    calls = {}
    for layer in model.layers:
        is_swish = isinstance(layer, keras.layers.Activation) and getattr(layer.activation, "__name__", "") in _SWISH
        if is_swish:
            calls[layer] = functools.partial(_call_swish, type(layer).call.__get__(layer))
        elif isinstance(layer, keras.layers.BatchNormalization) and _normalizes_channels_of_images(layer):
            calls[layer] = functools.partial(_call_batch_normalization, layer, type(layer).call.__get__(layer))
    return calls


def _normalizes_channels_of_images(layer) -> bool:
    is_plain = layer.center and layer.scale and not layer.synchronized
    return is_plain and len(layer.input.shape) == 4 and layer.axis in (-1, 3)


def _call_batch_normalization(layer, call, inputs, training=None, mask=None):
    if not (training and layer.trainable) or mask is not None:
        return call(inputs, training=training, mask=mask)
    import tensorflow as tf

    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        inputs,
        tf.cast(layer.gamma, tf.float32),
        tf.cast(layer.beta, tf.float32),
        epsilon=layer.epsilon,
        is_training=True,
    )
    count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
    variance *= (count - 1) / count  # the kernel's is the unbiased estimate, Keras keeps the biased one
    for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + value * (1 - layer.momentum))
    return outputs


def _call_swish(call, inputs):
    if isinstance(inputs, keras.KerasTensor):
        return call(inputs)
    return _swish()(inputs)


@functools.cache
def _swish():
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def forward(features):
        return features * tf.sigmoid(features)

    @tf.function(jit_compile=True)
    def backward(features, gradient):
        gate = tf.sigmoid(features)
        return gradient * gate * (1 + features * (1 - gate))

    @tf.custom_gradient
    def swish(features):
        return forward(features), lambda gradient: backward(features, gradient)

    return swish
