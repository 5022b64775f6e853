"""Folds BatchNormalization into the convolution before it, for inference.

With fixed statistics, BatchNormalization is a factor and an offset for every channel, which the linear convolution
before it can apply itself (Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018, arXiv:1712.05877, section 3.2). What reads features once less is faster,
forward and backward.
"""

from __future__ import annotations

import keras
import numpy as np

from sperm_tf.models.weights import copy_layer_weights


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """A copy of a model for inference, whose convolutions do what the BatchNormalization behind them did.

    A BatchNormalization is folded where it alone reads the output of a `Conv2D` or `DepthwiseConv2D` without
    activation and both compute in float32; all others stay. In its place stands an `Identity` of the same name: every
    layer but the convolutions is found by its name and has the output that it had, up to rounding.

    Args:
        model: flat functional model. It is not changed.

    Returns:
        Model of the same name, inputs and outputs, which shares no weights with `model`; or `model` itself where there
        is nothing to fold, or a layer is called more than once. It is of no use for training: the statistics are gone.
    """
    pairs = _find_pairs(model)
    if not pairs:
        return model
    norms = {norm.name for norm in pairs.values()}

    def clone_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in norms:
            return keras.layers.Identity(name=layer.name)
        changes = {"use_bias": True} if layer.name in pairs else {}
        return type(layer).from_config({**layer.get_config(), **changes})

    def call_layer(layer: keras.layers.Layer, *args, **kwargs):
        return layer(args[0]) if layer.name in norms else layer(*args, **kwargs)  # Identity takes no mask

    folded = keras.models.clone_model(model, clone_function=clone_layer, call_function=call_layer)
    for layer in model.layers:
        if layer.name in pairs:
            folded.get_layer(layer.name).set_weights(_fold(layer, pairs[layer.name]))
        elif layer.weights and layer.name not in norms:
            copy_layer_weights(layer, folded.get_layer(layer.name))
    return folded


def _find_pairs(model: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """Name of a convolution -> the BatchNormalization that it takes in."""
    if any(len(layer["inbound_nodes"]) > 1 for layer in model.get_config()["layers"]):
        return {}
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    read = [tensor for layer in layers for tensor in keras.tree.flatten(layer.input)] + list(model.outputs)
    num_readers = {id(tensor): sum(tensor is other for other in read) for tensor in read}
    convolutions = {
        id(layer.output): layer
        for layer in layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D) and _is_foldable(layer)
    }
    pairs = {}
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.compute_dtype == "float32":
            convolution = convolutions.get(id(layer.input))
            if convolution is not None and num_readers[id(layer.input)] == 1 and layer.axis in (-1, 3):
                pairs[convolution.name] = layer
    return pairs


def _is_foldable(convolution: keras.layers.Layer) -> bool:
    is_linear = convolution.activation is keras.activations.linear
    is_channels_last = convolution.data_format == "channels_last"
    return is_linear and is_channels_last and convolution.compute_dtype == "float32"


def _fold(convolution: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias, float32, of the convolution that normalizes, too; computed in float64."""
    kernel, *rest = (np.asarray(weights, np.float64) for weights in convolution.get_weights())
    mean, variance = (
        keras.ops.convert_to_numpy(part).astype(np.float64) for part in (norm.moving_mean, norm.moving_variance)
    )
    factor = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        factor *= keras.ops.convert_to_numpy(norm.gamma)
    bias = ((rest[0] if rest else 0) - mean) * factor
    if norm.center:
        bias += keras.ops.convert_to_numpy(norm.beta)
    # The last axes of a depthwise kernel are input channel and multiplier, which make the output channels together.
    is_depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    kernel *= factor.reshape(kernel.shape[2:]) if is_depthwise else factor
    return [kernel.astype(np.float32), bias.astype(np.float32)]
