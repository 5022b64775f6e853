import numpy as np
import pytest

from sperm_tf.config import ModelConfig
from sperm_tf.models.registry import BACKBONES


def setup_module():
    """Imports Keras, which takes seconds, when a test runs and not when it is found."""
    global build_classifier, fold_batch_norm, keras
    import keras

    from sperm_tf.models.batch_norm_folding import fold_batch_norm
    from sperm_tf.models.classifier import build_classifier


def give_statistics(model, seed=0):
    """Statistics, scales and offsets as of a trained network, so that every factor and offset matters."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shapes = [weights.shape for weights in layer.get_weights()]
            layer.set_weights([rng.uniform(0.5, 1.5, shape) for shape in shapes])


def compute(model, names, images):
    """Outputs of layers; without a graph, which takes longer to trace than this one batch."""
    outputs = keras.Model(model.inputs, [model.get_layer(name).output for name in names])(images, training=False)
    return [np.asarray(values) for values in outputs]


def count(model, kind):
    return sum(isinstance(layer, kind) for layer in model.layers)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_logits_and_features_of_every_backbone_stay(name):
    keras.utils.set_random_seed(0)
    model = build_classifier(ModelConfig(name=name), num_classes=3, image_size=64)
    give_statistics(model)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    entry = BACKBONES[name]
    names = ("logits", entry.explained_layer, *entry.early_layers)
    before = compute(model, names, images)
    folded = fold_batch_norm(model)
    assert count(model, keras.layers.BatchNormalization) > 0 or name == "vit_tiny"
    assert count(folded, keras.layers.BatchNormalization) == 0
    for found, expected in zip(compute(folded, names, images), before, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    for again, expected in zip(compute(model, names, images), before, strict=True):
        np.testing.assert_array_equal(again, expected)
    assert folded.name == model.name and np.ptp(before[0]) > 0


def small_model(*, activation=None, shared=False, dtype="float32", multiplier=1):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, activation=activation, dtype=dtype)(image)
    normed = keras.layers.BatchNormalization(scale=False, dtype=dtype)(features)
    normed = keras.layers.DepthwiseConv2D(3, depth_multiplier=multiplier, dtype=dtype)(normed)
    normed = keras.layers.BatchNormalization(center=False, dtype=dtype)(normed)
    pooled = keras.layers.GlobalAveragePooling2D()(normed)
    if shared:
        pooled = keras.layers.Concatenate()([pooled, keras.layers.GlobalAveragePooling2D()(features)])
    model = keras.Model(image, keras.layers.Dense(2)(pooled))
    give_statistics(model)
    return model


@pytest.mark.parametrize(
    ("options", "num_left"),
    [({}, 0), ({"multiplier": 2}, 0), ({"activation": "relu"}, 1), ({"shared": True}, 1), ({"dtype": "bfloat16"}, 2)],
)
def test_only_what_stays_exact_is_folded(options, num_left):
    model = small_model(**options)
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    folded = fold_batch_norm(model)
    assert count(folded, keras.layers.BatchNormalization) == num_left
    assert (folded is model) == (num_left == 2)
    np.testing.assert_allclose(folded.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5)


def test_a_model_that_calls_a_layer_twice_is_left_as_it_is():
    image = keras.Input((8, 8, 3))
    convolution = keras.layers.Conv2D(3, 3, padding="same")
    features = convolution(keras.layers.BatchNormalization()(convolution(image)))
    model = keras.Model(image, features)
    assert fold_batch_norm(model) is model
