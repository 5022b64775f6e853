import numpy as np
import pytest


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global keras, make_views, RandomView, tf, ViewConsistency
    import keras
    import tensorflow as tf

    from sperm_tf.layers.view_consistency import RandomView, ViewConsistency
    from sperm_tf.models.views import make_views


def _images(count):
    return np.random.default_rng(0).uniform(0, 255, (count, 6, 6, 3)).astype("float32")


def _numbers_of_views(images, turned):
    """Which of the eight views each image was turned to."""
    views = np.asarray(make_views(images, 8)).reshape(8, *images.shape)
    return [
        [view for view in range(8) if np.array_equal(views[view, row], turned[row])].pop() for row in range(len(images))
    ]


def test_every_image_gets_one_of_the_seven_other_views():
    images = _images(200)
    turned = np.asarray(RandomView(seed=1)(images))
    counts = np.bincount(_numbers_of_views(images, turned), minlength=8)
    assert counts[0] == 0 and counts[1:].min() > 10
    np.testing.assert_array_equal(RandomView(seed=1)(images), turned)
    assert not np.array_equal(RandomView(seed=2)(images), turned)
    np.testing.assert_array_equal(RandomView(seed=1)(images, training=False), images)


def test_views_in_tf_data_are_those_of_eager_execution():
    images = _images(8)
    layer = RandomView(seed=3)
    (turned,) = tf.data.Dataset.from_tensors(images).map(lambda batch: layer(batch, training=True))
    np.testing.assert_array_equal(turned, RandomView(seed=3)(images))


def _softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def test_the_loss_is_the_divergence_from_the_average_of_both_views():
    logits = np.random.default_rng(1).normal(size=(10, 4)).astype("float32")
    pairs = logits.astype("float64").reshape(2, 5, 4)
    average = _softmax(pairs.mean(axis=0))
    expected = np.mean([(average * np.log(average / _softmax(view))).sum(-1) for view in pairs])

    layer = ViewConsistency(3.0)
    np.testing.assert_array_equal(layer(logits, training=True), logits)
    (loss,) = layer.losses
    assert float(loss) == pytest.approx(3 * expected, rel=1e-5)
    np.testing.assert_array_equal(layer(logits, training=False), logits)
    assert not layer.losses


def test_no_gradient_flows_into_the_average():
    logits = tf.Variable(np.random.default_rng(2).normal(size=(4, 3)).astype("float32"))
    layer = ViewConsistency(1.0)
    with tf.GradientTape() as tape:
        layer(logits, training=True)
        loss = sum(layer.losses)
    pairs = logits.numpy().astype("float64").reshape(2, 2, 3)
    # The derivative of a cross-entropy with a fixed target: softmax minus target.
    expected = (_softmax(pairs) - _softmax(pairs.mean(axis=0))) / 4
    np.testing.assert_allclose(tape.gradient(loss, logits), expected.reshape(4, 3), atol=1e-6)


def test_layers_are_saved_with_their_settings():
    for layer in (RandomView(seed=5), ViewConsistency(0.25)):
        assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
