import numpy as np
import pytest


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global CBAM, ChannelAttention, check_layer, SpatialAttention
    from sperm_tf.layers.attention import CBAM, ChannelAttention, SpatialAttention
    from tests.layers.layer_checks import check_layer


PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def _features():
    # Neither square nor centred on zero: a swapped axis or a missing maximum shows.
    return (np.random.default_rng(0).standard_normal((3, 9, 8, 12)) * 2 + 0.5).astype("float32")


def _sigmoid(values):
    return 1 / (1 + np.exp(-values))


def _channel_gate(features, weights):
    def mlp(pooled):
        hidden = np.maximum(pooled @ weights["squeeze/kernel"] + weights["squeeze/bias"], 0)
        return hidden @ weights["expand/kernel"] + weights["expand/bias"]

    return _sigmoid(mlp(features.mean((1, 2))) + mlp(features.max((1, 2))))[:, None, None, :]


def _spatial_gate(features, weights):
    kernel = weights["convolution/kernel"][..., 0]
    size = kernel.shape[0]
    margin = size // 2
    stacked = np.stack([features.mean(-1), features.max(-1)], axis=-1)
    padded = np.pad(stacked, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    gate = np.zeros(features.shape[:3])
    for row in range(features.shape[1]):
        for column in range(features.shape[2]):
            gate[:, row, column] = (padded[:, row : row + size, column : column + size] * kernel).sum((1, 2, 3))
    return _sigmoid(gate)[..., None]


def _cbam(features, weights):
    channel, spatial = (
        {name.removeprefix(part + "/"): value for name, value in weights.items() if name.startswith(part)}
        for part in ("channel_attention", "spatial_attention")
    )
    refined = features * _channel_gate(features, channel)
    return refined * _spatial_gate(refined, spatial)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_channel_attention(precision, tmp_path):
    check_layer(
        ChannelAttention,
        {"reduction": 5},
        _features(),
        reference=lambda features, weights: features * _channel_gate(features, weights),
        num_weights=4,
        tmp_path=tmp_path,
        precision=precision,
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_spatial_attention(precision, tmp_path):
    check_layer(
        SpatialAttention,
        {"kernel_size": 5},
        _features(),
        reference=lambda features, weights: features * _spatial_gate(features, weights),
        num_weights=1,
        tmp_path=tmp_path,
        precision=precision,
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_cbam(precision, tmp_path):
    check_layer(
        CBAM,
        {"reduction": 4, "kernel_size": 7},
        _features(),
        reference=_cbam,
        num_weights=5,
        tmp_path=tmp_path,
        precision=precision,
    )


def test_attention_maps_are_the_gates_that_are_applied():
    features = _features()
    layer = CBAM(reduction=4)
    outputs = np.asarray(layer(features))
    channel, spatial = (np.asarray(gate) for gate in layer.attention_maps(features))
    assert channel.shape == (3, 1, 1, 12)
    assert spatial.shape == (3, 9, 8, 1)
    np.testing.assert_allclose(features * channel * spatial, outputs, rtol=1e-5, atol=1e-6)


def test_defaults_are_those_of_the_paper():
    layer = CBAM()
    assert (layer.reduction, layer.kernel_size) == (16, 7)


def test_hidden_layer_of_the_mlp_is_the_channels_divided_by_the_reduction():
    layer = ChannelAttention(16)
    layer.build((None, 4, 4, 64))
    assert tuple(layer.squeeze.kernel.shape) == (64, 4)


def test_refuses_more_reduction_than_channels():
    with pytest.raises(ValueError, match=r"reduction must be at most .* 12.*Received: reduction=16"):
        CBAM()(_features())


@pytest.mark.parametrize("value", (0, -1, 2.5, True))
def test_refuses_a_reduction_that_is_no_positive_integer(value):
    with pytest.raises(ValueError, match="reduction must be a positive integer"):
        CBAM(reduction=value)


def test_refuses_an_even_kernel():
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        CBAM(kernel_size=6)


def test_refuses_pooled_features():
    with pytest.raises(ValueError, match="must be a feature map"):
        CBAM()(np.zeros((2, 32), "float32"))
