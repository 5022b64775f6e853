import functools

import numpy as np
import pytest

from sperm_tf.config import ModelConfig

pytestmark = pytest.mark.slow


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_classifier, keras, kernels
    import keras

    from sperm_tf import kernels
    from sperm_tf.models.classifier import build_classifier


@functools.cache
def _train(*, fused, steps=2, trainable=True, policy="float32"):
    keras.utils.set_random_seed(3)
    keras.config.set_dtype_policy(policy)
    try:
        config = ModelConfig(name="efficientnet_b0_cbam", dropout=0.0, norm_momentum=0.9)
        model = build_classifier(config, num_classes=3, image_size=32)
    finally:
        keras.config.set_dtype_policy("float32")
    for layer in model.layers:
        layer.trainable = trainable or layer.name == "logits"
        if hasattr(layer, "rate"):
            layer.rate = 0.0  # dropped paths would differ
    rng = np.random.default_rng(0)
    images, labels = (
        rng.uniform(0, 255, (16, 32, 32, 3)).astype("float32"),
        np.eye(3, dtype="float32")[np.arange(16) % 3],
    )

    def run():
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.SGD(1e-3), loss=loss, jit_compile=False)
        return [float(model.train_on_batch(images, labels)) for _ in range(steps)]

    if not fused:
        return model, run(), images
    with kernels.fused(model):
        assert any("call" in vars(layer) for layer in model.layers)
        losses = run()
    assert not any("call" in vars(layer) for layer in model.layers)
    return model, losses, images


@pytest.mark.parametrize("trainable", (True, False))
def test_training_is_the_same(trainable):
    plain, losses, _ = _train(fused=False, trainable=trainable)
    fused, fused_losses, _ = _train(fused=True, trainable=trainable)  # whose weights no test changes
    np.testing.assert_allclose(fused_losses, losses, rtol=1e-4)
    for expected, found in zip(plain.weights, fused.weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-2, atol=2e-3, err_msg=expected.path)
    means = [weight for weight in plain.weights if weight.path.endswith("moving_variance")]
    assert trainable == any(np.abs(np.asarray(weight) - 1).max() > 0.01 for weight in means)


def test_moving_statistics_are_those_of_keras():
    layer = keras.layers.BatchNormalization(momentum=0.5, name="norm")
    model = keras.Sequential([keras.Input((3, 3, 2)), layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    functional = keras.Model(model.inputs, model.outputs)
    images = np.random.default_rng(0).normal(3, 2, (4, 3, 3, 2)).astype("float32")
    with kernels.fused(functional):
        functional.compile(optimizer="sgd", loss="mse", jit_compile=False)
        functional.train_on_batch(images, np.zeros((4, 1)))
    np.testing.assert_allclose(layer.moving_mean, images.mean((0, 1, 2)) / 2, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.5 + images.var((0, 1, 2)) / 2, rtol=1e-5)


def test_inference_and_saving_are_untouched(tmp_path):
    model, _, images = _train(fused=True, trainable=True)
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").predict(images, verbose=0)
    np.testing.assert_allclose(again, expected, rtol=1e-5)


def test_mixed_precision_trains():
    _, losses, _ = _train(fused=True, policy="mixed_bfloat16")
    assert np.isfinite(losses).all()


def test_other_backends_keep_their_own(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    model = keras.Sequential([keras.Input((3, 3, 2)), keras.layers.BatchNormalization()])
    with kernels.fused(model):
        assert not any("call" in vars(layer) for layer in model.layers)
