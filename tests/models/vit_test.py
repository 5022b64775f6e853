import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.special

from sperm_tf.config import ModelConfig
from tests import image_files
from tests.helpers import ROOT


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global backbone_layers, build_classifier, build_vit_tiny, ClassActivationMaps, export_saved_model, keras
    global reference_maps, save_weights, tf, transformer_block, vit
    import keras
    import tensorflow as tf

    from sperm_tf.explain.activation_maps import ClassActivationMaps
    from sperm_tf.explain.reference import reference_maps
    from sperm_tf.models import vit
    from sperm_tf.models.classifier import backbone_layers, build_classifier
    from sperm_tf.models.half_precision import save_weights
    from sperm_tf.models.vit import build_vit_tiny, transformer_block
    from sperm_tf.serving.export import export_saved_model


SIZE = 48
HEADS = 3


def _images(count=2):
    return np.random.default_rng(0).uniform(0, 255, (count, SIZE, SIZE, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    """Untrained, with logits far enough from each other for maps that differ."""
    keras.utils.set_random_seed(1)
    model = build_classifier(ModelConfig(name="vit_tiny"), num_classes=3, image_size=SIZE)
    _shake(model)
    return model


def _shake(model, seed=2):
    """Nothing may pass because a bias starts at zero or a scale at one."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(weight + 0.05 * generator.standard_normal(weight.shape))


def _normalize(tokens, weights):
    mean, variance = tokens.mean(-1, keepdims=True), tokens.var(-1, keepdims=True)
    return (tokens - mean) / np.sqrt(variance + 1e-6) * weights["gamma"] + weights["beta"]


def _attend(tokens, weights):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2)."""
    outputs = weights["attention_output/bias"]
    for head in range(HEADS):
        query, key, value = (
            tokens @ weights[f"{name}/kernel"][:, head] + weights[f"{name}/bias"][head]
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
        outputs = outputs + scipy.special.softmax(scores, axis=-1) @ value @ weights["attention_output/kernel"][head]
    return outputs


def _gelu(values):
    return values * scipy.special.ndtr(values)


def _block(tokens, weights):
    tokens = tokens + _attend(_normalize(tokens, weights["attention_norm"]), weights["attention"])
    hidden = _normalize(tokens, weights["mlp_norm"])
    hidden = _gelu(hidden @ weights["mlp_expand"]["kernel"] + weights["mlp_expand"]["bias"])
    return tokens + hidden @ weights["mlp_project"]["kernel"] + weights["mlp_project"]["bias"]


def _weights(model, prefix=""):
    """Name of a layer without the prefix -> path within the layer -> array."""
    return {
        layer.name.removeprefix(prefix): {
            weight.path.split("/", 1)[1]: np.asarray(weight, "float64") for weight in layer.weights
        }
        for layer in model.layers
        if layer.name.startswith(prefix)
    }


def test_a_block_computes_what_the_paper_says():
    image = keras.Input((5, 12))
    model = keras.Model(image, transformer_block(image, name="tested", num_heads=HEADS))
    _shake(model)
    tokens = np.random.default_rng(3).standard_normal((2, 5, 12))
    expected = _block(tokens, _weights(model, "tested_"))
    np.testing.assert_allclose(model(tokens.astype("float32")), expected, rtol=1e-4, atol=1e-5)


def test_patches_keep_their_places(model):
    """From the pixels to the feature map, in NumPy."""
    weights = _weights(model)
    grid = SIZE // 16
    pixels = _images().astype("float64") / 127.5 - 1
    patches = pixels.reshape(2, grid, 16, grid, 16, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, grid * grid, 768)
    patch_weights = weights["patch_embedding"]
    tokens = patches @ patch_weights["kernel"].reshape(768, 192) + patch_weights["bias"]
    tokens = tokens + weights["position_embedding"]["embeddings"].reshape(grid * grid, 192)
    for number in range(1, 13):
        tokens = _block(tokens, _weights(model, f"block{number}_"))
    expected = _normalize(tokens, weights["norm"]).reshape(2, grid, grid, 192)
    features = keras.Model(model.input, model.get_layer("feature_map").output)(_images())
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_size_is_that_of_deit_tiny():
    model = build_vit_tiny(keras.Input((224, 224, 3)), ModelConfig(name="vit_tiny"))
    # timm's vit_tiny_patch16_224 has 5,717,416 with 1,000 classes, a class token and its position.
    assert model.count_params() == 5_717_416 - (192 * 1000 + 1000) - 2 * 192
    assert model.output_shape == (None, 14, 14, 192)


@pytest.mark.slow
def test_layers_start_from_different_weights():
    model = build_classifier(ModelConfig(name="vit_tiny"), num_classes=3, image_size=32)
    first, second = (model.get_layer(f"block{number}_attention").get_weights() for number in (1, 2))
    query, key = first[0], first[2]
    assert not np.allclose(query, second[0]) and not np.allclose(query, key)
    assert 0.015 < query.std() < 0.02  # truncated at two deviations of 0.02


def test_backbone_layers_are_all_but_the_head(model):
    names = {layer.name for layer in model.layers}
    assert names - {layer.name for layer in backbone_layers(model)} == {"feature_map", "pool", "dropout", "logits"}


@pytest.mark.slow
def test_a_training_step_moves_every_weight(monkeypatch):
    monkeypatch.setattr(vit, "DEPTH", 2)
    model = build_classifier(ModelConfig(name="vit_tiny", dropout=0.0), num_classes=3, image_size=32)
    before = [np.asarray(weight) for weight in model.trainable_weights]
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    model.fit(images, np.eye(3)[[0, 1, 2, 0]], verbose=0)
    for old, weight in zip(before, model.trainable_weights, strict=True):
        assert not np.array_equal(old, np.asarray(weight)), f"{weight.path} gets no gradient"


@pytest.mark.slow
def test_explains_itself_like_tf_keras_vis(model):
    explanation = ClassActivationMaps(model)(_images(), every_class=True)
    maps = explanation.grad_cam_plus_plus_per_class
    assert maps.shape == (2, 3, 3, 3) and explanation.cbam_attention is None
    for index in range(3):
        expected = reference_maps("grad_cam_plus_plus", model, _images(), class_indices=[index] * 2)
        np.testing.assert_allclose(maps[:, index], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_is_exported_with_its_explanation(model, tmp_path):
    export_saved_model(model, tmp_path / "1", class_names=["a", "b", "c"], image_size=SIZE)
    explain = tf.saved_model.load(str(tmp_path / "1")).signatures["explain_classes"]
    file = image_files.encode(image_files.random_pixels(SIZE, SIZE), "PNG")
    answer = explain(image_bytes=tf.constant([file, b"no image"]))
    pixels = image_files.pillow_rgb(file).astype("float32")[None]
    expected = ClassActivationMaps(model)(pixels, every_class=True)
    np.testing.assert_allclose(answer["probabilities"][0], tf.nn.softmax(expected.logits)[0], atol=1e-5)
    maps = expected.grad_cam_plus_plus_per_class
    np.testing.assert_allclose(answer["grad_cam_plus_plus_per_class"][0], maps[0], atol=1e-4)
    assert answer["status"].numpy().tolist() == [b"ok", b"unknown_format"]


JAX_PROGRAM = """
import sys

class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ImportError("TensorFlow is not to be needed here")

sys.meta_path.insert(0, NoTensorFlow())

import keras, numpy as np
from sperm_tf.config import ModelConfig
from sperm_tf.models import vit
from sperm_tf.models import vit
from sperm_tf.models.classifier import build_classifier

assert keras.config.backend() == "jax"
folder, vit.DEPTH = sys.argv[1], 2
model = build_classifier(ModelConfig(name="vit_tiny", weights=f"{folder}/vit.npz"), num_classes=3, image_size=48)
features = keras.Model(model.input, model.get_layer("feature_map").output)
np.save(f"{folder}/features.npy", np.asarray(features.predict(np.load(f"{folder}/images.npy"), verbose=0)))
model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
history = model.fit(np.load(f"{folder}/images.npy"), np.eye(3)[[0, 1]], verbose=0).history
assert np.isfinite(history["loss"]).all()
assert "tensorflow" not in sys.modules
"""


@pytest.mark.integration
def test_runs_on_jax_and_takes_half_precision_weights_there(model, tmp_path, monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setattr(vit, "DEPTH", 2)  # the other blocks of the file are left aside
    save_weights(model, tmp_path / "vit.npz")
    np.save(tmp_path / "images.npy", _images())
    finished = subprocess.run(
        [sys.executable, "-c", JAX_PROGRAM, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    here = build_classifier(
        ModelConfig(name="vit_tiny", weights=str(tmp_path / "vit.npz")), num_classes=3, image_size=SIZE
    )
    expected = keras.Model(here.input, here.get_layer("feature_map").output)(_images())
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), expected, rtol=1e-3, atol=1e-3)
