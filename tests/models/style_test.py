"""The style of an image against NumPy."""

import numpy as np


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global summarize_style
    from sperm_tf.models.style import summarize_style


def test_means_come_first_then_the_logarithms_of_the_deviations():
    rng = np.random.default_rng(0)
    maps = [rng.normal(3, 2, (4, 8, 8, 5)), rng.normal(-1, 0.5, (4, 16, 3))]
    found = np.asarray(summarize_style([each.astype("float32") for each in maps]))
    means = [each.reshape(4, -1, each.shape[-1]).mean(axis=1) for each in maps]
    deviations = [np.log(each.reshape(4, -1, each.shape[-1]).std(axis=1)) for each in maps]
    np.testing.assert_allclose(found, np.concatenate([*means, *deviations], axis=1), atol=1e-4)


def test_half_the_contrast_lowers_every_deviation_alike_and_an_even_image_stays_finite():
    image = np.random.default_rng(1).normal(size=(1, 8, 8, 6)).astype("float32")
    whole, half = (np.asarray(summarize_style([each])) for each in (image, image / 2))
    np.testing.assert_allclose((whole - half)[:, 6:], np.log(2), atol=1e-4)
    assert np.isfinite(np.asarray(summarize_style([image * 0]))).all()
