import dataclasses
import re

import numpy as np
import pytest

from sperm_tf.config import ModelConfig
from sperm_tf.models.registry import BACKBONES


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global backbone_layers, build_classifier, early_maps, explained_layer, keras, WhitePoint
    import keras

    from sperm_tf.layers.white_point import WhitePoint
    from sperm_tf.models.classifier import backbone_layers, build_classifier, explained_layer
    from sperm_tf.models.style import early_maps


SIMPLE = ModelConfig(name="simple_cnn")


def _images(size, count=2):
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype("float32")


@pytest.mark.parametrize("precision", ("float32", "mixed_bfloat16", "mixed_float16"))
@pytest.mark.parametrize("name", BACKBONES)
def test_contract_of_every_model(name, precision, tmp_path):
    keras.config.set_dtype_policy(precision)
    size = 40 if name == "simple_cnn" else 32
    model = build_classifier(ModelConfig(name=name), num_classes=3, image_size=size)

    assert model.input.name == "image"
    assert (model.input.shape, model.input.dtype) == ((None, size, size, 3), "float32")
    assert model.layers[-1].name == "logits"
    assert (model.output.shape, model.output.dtype) == ((None, 3), "float32")
    assert model.layers[-1].activation is keras.activations.linear
    assert not any(isinstance(layer, keras.Model) for layer in model.layers), "the model must be flat"
    height, width, channels = model.get_layer("feature_map").output.shape[1:]
    assert (height, width, channels) == {"simple_cnn": (5, 5, 256), "vit_tiny": (2, 2, 192)}.get(name, (1, 1, 1280))
    assert [layer.name for layer in model.layers][-4:] == ["feature_map", "pool", "dropout", "logits"]

    entry = BACKBONES[name]
    assert (model.name, explained_layer(model)) == (name, entry.explained_layer)
    for features, layer in zip(early_maps(model), entry.early_layers, strict=True):
        assert features is model.get_layer(layer).output
    assert any(layer.name.startswith("cbam_") for layer in model.layers) == entry.has_cbam
    stages = {layer.name[:6] for layer in model.layers if re.match(r"block\d[a-z]", layer.name)}
    assert entry.has_stages == (stages == {f"block{number}" for number in range(1, 8)})

    logits = np.asarray(model(_images(size)))
    assert np.isfinite(logits).all()
    if precision == "float32":
        model.save(tmp_path / "model.keras")
        reloaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(reloaded(_images(size)), logits, rtol=1e-5, atol=1e-6)


def test_simple_cnn_rescales_inside():
    model = build_classifier(SIMPLE, num_classes=3, image_size=32)
    rescaled = keras.Model(model.input, model.get_layer("rescale_pixels").output)
    np.testing.assert_allclose(rescaled(np.full((1, 32, 32, 3), 255.0)), 1.0)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_white_point_balances_the_images_first(name, tmp_path):
    plain = build_classifier(ModelConfig(name=name), num_classes=3, image_size=32)
    model = build_classifier(ModelConfig(name=name, white_point=True), num_classes=3, image_size=32)
    assert [layer.name for layer in model.layers] == [
        "image",
        "white_point",
        *(layer.name for layer in plain.layers[1:]),
    ]
    plain.set_weights(model.get_weights())
    images = _images(32) * 0.7
    logits = np.asarray(model(images))
    scale = np.abs(logits).max()  # of an untrained network, tiny
    np.testing.assert_allclose(plain(WhitePoint()(images)) / scale, logits / scale, atol=1e-3)
    assert np.abs(plain(images) - logits).max() > 0.1 * scale
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(
        keras.models.load_model(tmp_path / "model.keras")(images) / scale, logits / scale, atol=1e-3
    )


@pytest.mark.slow
def test_a_white_point_leaves_pretrained_features_as_they_are():
    def features(white_point):
        settings = ModelConfig(name="efficientnet_b0", weights="synthetic", white_point=white_point)
        model = build_classifier(settings, num_classes=4, image_size=64)
        return keras.Model(model.input, model.get_layer("feature_map").output)

    expected = np.asarray(features(False)(WhitePoint()(_images(64))))
    np.testing.assert_allclose(features(True)(_images(64)), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_backbone_layers_are_all_but_attention_and_head():
    config = ModelConfig(cbam_after=("block2", "top"))
    model = build_classifier(config, num_classes=3, image_size=32)
    names = {layer.name for layer in backbone_layers(model)}
    others = {layer.name for layer in model.layers} - names
    assert others == {"cbam_block2", "cbam_top", "feature_map", "pool", "dropout", "logits"}


def test_backbone_layers_refuses_a_foreign_model():
    image = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="feature_map"):
        backbone_layers(keras.Model(image, keras.layers.Flatten()(image)))


@pytest.mark.slow
def test_norm_momentum_reaches_every_normalization():
    for name in ("simple_cnn", "efficientnet_b0_cbam"):
        model = build_classifier(ModelConfig(name=name, norm_momentum=0.75), num_classes=3, image_size=32)
        norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        assert len(norms) == (4 if name == "simple_cnn" else 49)
        assert {layer.momentum for layer in norms} == {0.75}


@pytest.mark.slow
def test_reduction_and_dropout_reach_their_layers():
    model = build_classifier(ModelConfig(reduction=8, dropout=0.35), num_classes=3, image_size=32)
    assert model.get_layer("cbam_top").reduction == 8
    assert model.get_layer("dropout").rate == 0.35


def test_a_seed_repeats_the_initial_weights():
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        models.append(build_classifier(SIMPLE, num_classes=3, image_size=32))
    for first, second in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    (
        ({}, {"num_classes": 1}, "num_classes must be at least 2"),
        ({}, {"image_size": 15}, "image_size must be at least 16"),
        ({"name": "efficientnet_b0"}, {"image_size": 31}, "image_size must be at least 32"),
        ({"name": "vit_tiny"}, {"image_size": 15}, "image_size must be at least 16"),
        ({"name": "vit_tiny"}, {"image_size": 100}, "multiple of 16 for vit_tiny.*image_size=100. Use 96 or 112"),
        ({"name": "efficientnet_b0_cbam", "cbam_after": ()}, {}, "set model.name='efficientnet_b0'"),
        ({"weights": "imagenet"}, {}, "must be 'none', or the path of a file, for simple_cnn"),
        ({"name": "vit_tiny", "weights": "imagenet"}, {}, "must be 'none', or the path of a file, for vit_tiny"),
        ({"name": "efficientnet_lite0", "weights": "imagenet"}, {}, "must be 'imagenet_lite0', 'none', or"),
    ),
)
def test_refuses_invalid_settings(change, arguments, message):
    config = dataclasses.replace(SIMPLE, **change)
    with pytest.raises(ValueError, match=message):
        build_classifier(config, **{"num_classes": 3, "image_size": 32, **arguments})
