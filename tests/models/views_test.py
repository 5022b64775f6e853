import json
import os
import subprocess
import sys

import numpy as np
import pytest

from sperm_tf.config import ModelConfig


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global NUM_NUMBERS, build_classifier, keras, summarize_composition, tiny_models, views
    import keras

    from sperm_tf.models import views
    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.models.composition import NUM_NUMBERS, summarize_composition
    from tests import tiny_models


@pytest.fixture(params=["linear_head", "deep_head"])
def head(request):
    return getattr(tiny_models, request.param)


def symmetries(images):
    """The eight views [8, ..., h, w, K] of [..., h, w, K], in NumPy's terms and in another order."""
    mirrored = np.flip(images, axis=-2)
    return np.stack([np.rot90(image, turns, (-3, -2)) for image in (images, mirrored) for turns in range(4)])


def random_images(count=3, size=24, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def mean_logits(model, images):
    return np.mean([model(view) for view in symmetries(images)], axis=0)


def answer(model, images, number):
    return views.build_answering_model(model, views=number)(images)


def test_the_views_are_the_eight_symmetries_of_the_square_each_once():
    images = random_images(2, 5)
    made = np.asarray(views.make_views(images, 8)).reshape(8, *images.shape)
    np.testing.assert_array_equal(made[0], images)
    expected = symmetries(images)
    found = [[np.array_equal(view, symmetry) for symmetry in expected] for view in made]
    assert np.sum(found, axis=0).tolist() == np.sum(found, axis=1).tolist() == [1] * 8


def test_undoing_brings_every_view_back():
    images = random_images(2, 5)
    made = np.asarray(views.make_views(images, 8)).reshape(8, *images.shape)
    undone = np.asarray(views.undo_views(np.moveaxis(made, -1, 2)))  # [8, B, channels, h, w]
    assert undone.shape == (8, 2, 3, 5, 5)
    for view in undone:
        np.testing.assert_array_equal(view, np.moveaxis(images, -1, 1))
    undone = np.asarray(views.undo_views(made[:, 0, :, :, 0]))  # [8, h, w]
    np.testing.assert_array_equal(undone, np.stack([images[0, :, :, 0]] * 8))


def test_aligned_features_lie_on_each_other_and_come_apart_again():
    images = random_images(2, 5)
    made = np.asarray(views.make_views(images, 8))
    aligned = np.asarray(views.align_features(made, 8))
    np.testing.assert_array_equal(aligned, np.tile(images, 8))
    features = np.random.default_rng(1).normal(size=(16, 4, 4, 3)).astype(np.float32)
    again = views.separate_features(views.align_features(features, 8), 8)
    np.testing.assert_array_equal(again, features)
    np.testing.assert_array_equal(np.asarray(views.align_features(features, 8))[1, :, :, :3], features[1])


def test_one_view_is_the_very_same():
    images = random_images()
    assert views.make_views(images, 1) is images
    assert views.align_features(images, 1) is images and views.separate_features(images, 1) is images
    assert views.undo_views(images[None]).shape == (1, *images.shape)
    model = tiny_models.build()
    assert views.build_averaged_classifier(model, views=1) is model
    np.testing.assert_array_equal(answer(model, images, 1)["logits"], model(images))


def test_logits_are_the_mean_over_the_views(head):
    model, images = tiny_models.build(head=head), random_images()
    logits = np.asarray(answer(model, images, 8)["logits"])
    np.testing.assert_allclose(logits, mean_logits(model, images), rtol=1e-4, atol=1e-6)
    assert np.abs(logits - model(images)).max() > 1e-3
    for turned in symmetries(images):
        np.testing.assert_allclose(answer(model, turned, 8)["logits"], logits, rtol=1e-4, atol=1e-6)


def test_features_are_the_style_averaged_over_the_views_and_the_composition_of_the_image():
    model, images = tiny_models.build(), random_images()
    features = model.get_layer("feature_map").output
    of_views = [np.asarray(keras.Model(model.inputs[0], features)(view)) for view in symmetries(images)]
    parts = [(f.mean(axis=(1, 2)), np.log(f.var(axis=(1, 2)) + 1e-6) / 2) for f in of_views]
    expected = [np.concatenate(part, axis=1) for part in parts]
    composition = np.asarray(summarize_composition(images))
    for number, chosen in ((1, expected[:1]), (8, expected)):
        features = np.concatenate([np.mean(chosen, axis=0), composition], axis=1)
        np.testing.assert_allclose(answer(model, images, number)["features"], features, rtol=1e-3, atol=1e-4)
        style = views.build_style_model(model, views=number)
        np.testing.assert_allclose(style(images), features, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("simple_cnn", 192), ("efficientnet_b0_cbam", 80), ("vit_tiny", 768)])
def test_every_architecture_has_early_layers(name, size):
    model = build_classifier(ModelConfig(name=name), num_classes=3, image_size=32)
    assert views.build_answering_model(model, views=8).output["features"].shape == (None, size + NUM_NUMBERS)


def test_probabilities_are_the_geometric_mean_of_those_of_the_views():
    model, images = tiny_models.build(), random_images()
    probabilities = keras.ops.softmax(answer(model, images, 8)["logits"])
    of_views = np.stack([keras.ops.softmax(model(view)) for view in symmetries(images)])
    expected = np.exp(np.log(of_views).mean(axis=0))
    np.testing.assert_allclose(probabilities, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)


def test_the_averaged_classifier_predicts_the_mean(head):
    model, images = tiny_models.build(head=head), random_images(5)
    averaged = views.build_averaged_classifier(model, views=8)
    logits = averaged.predict(images, batch_size=2, verbose=0)  # the last batch is smaller
    np.testing.assert_allclose(logits, mean_logits(model, images), rtol=1e-4, atol=1e-6)
    assert {id(weight) for weight in averaged.weights} == {id(weight) for weight in model.weights}
    assert averaged.get_layer("feature_map").output.shape == (None, 6, 6, 8 * 8)
    assert averaged.get_layer("logits").output is averaged.outputs[0]


def test_the_averaged_classifier_of_mixed_precision_answers_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = tiny_models.build()
    averaged, images = views.build_averaged_classifier(model, views=8), random_images()
    logits = averaged(images)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    np.testing.assert_allclose(logits, mean_logits(model, images), atol=0.02)


BACKEND_SCRIPT = """
import json, sys
import keras, numpy as np
from sperm_tf.models import views
from tests import tiny_models
keras.utils.set_random_seed(0)
model = tiny_models.build()
model.load_weights(sys.argv[1])
images = np.random.default_rng(0).uniform(0, 255, (3, 24, 24, 3)).astype("float32")
logits = views.build_averaged_classifier(model, views=8).predict(images, batch_size=2, verbose=0)
assert keras.backend.backend() == "jax"
print(json.dumps(logits.tolist()))
"""


@pytest.mark.integration
def test_another_backend_predicts_the_same(tmp_path):
    pytest.importorskip("jax")
    model, images = tiny_models.build(), random_images()
    model.save_weights(tmp_path / "tiny.weights.h5")
    done = subprocess.run(
        [sys.executable, "-c", BACKEND_SCRIPT, tmp_path / "tiny.weights.h5"],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    logits = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(logits, mean_logits(model, images), rtol=1e-3, atol=1e-5)


def test_arguments_that_do_not_fit_are_refused():
    images = random_images()
    for number in (0, 2, 4, 16):
        for function in (views.make_views, views.align_features, views.separate_features):
            with pytest.raises(ValueError, match="views must be one of 1, 8"):
                function(images, number)
        with pytest.raises(ValueError, match="views must be one of 1, 8"):
            views.build_answering_model(tiny_models.build(), views=number)
    with pytest.raises(ValueError, match="views must be one of 1, 8"):
        views.undo_views(np.zeros((4, 5, 5)))
    with pytest.raises(ValueError, match="images must be square"):
        views.make_views(images[:, :20], 8)
    with pytest.raises(ValueError, match="features must be square"):
        views.align_features(np.zeros((8, 2, 3, 1)), 8)
    with pytest.raises(ValueError, match="maps must be square"):
        views.undo_views(np.zeros((8, 2, 3)))
