import numpy as np
import pytest


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global DoubleSize, keras
    import keras

    from sperm_tf.layers.enlargement import DoubleSize


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 4, 2)])
def test_it_is_keras_bilinear_enlargement(shape):
    features = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = keras.layers.UpSampling2D(2, interpolation="bilinear")(features)
    layer = DoubleSize()
    np.testing.assert_allclose(layer(features), expected, atol=1e-6)
    assert layer.compute_output_shape(shape) == tuple(expected.shape)


def test_it_is_saved_and_takes_images_of_any_size():
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, DoubleSize()(inputs))
    assert model.output_shape == (None, None, None, 2)
    copy = keras.Model.from_config(model.get_config())
    assert copy(np.ones((1, 3, 4, 2), np.float32)).shape == (1, 6, 8, 2)
