import numpy as np
import pytest


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global BACKGROUND_QUANTILE, check_layer, keras, MAX_GAIN, TARGET, WhitePoint
    import keras

    from sperm_tf.layers.white_point import BACKGROUND_QUANTILE, MAX_GAIN, TARGET, WhitePoint
    from tests.layers.layer_checks import check_layer


def crops(count: int = 3) -> np.ndarray:
    """Dark ellipses on empty slides of different colours, with grain."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[-1:1:40j, -1:1:48j]
    head = ((rows / 0.5) ** 2 + (columns / 0.4) ** 2 < 1)[..., None]
    slides = rng.uniform(150, 235, (count, 1, 1, 3))
    return (np.where(head, 0.4, 1.0) * slides + rng.normal(0, 2, (count, 40, 48, 3))).astype("float32")


def balance(images, weights):
    del weights
    white = np.quantile(images[:, ::4, ::4], BACKGROUND_QUANTILE, axis=(1, 2), keepdims=True)
    return np.clip(images * np.clip(TARGET / np.maximum(white, 1), 1 / MAX_GAIN, MAX_GAIN), 0, 255)


def test_against_numpy(tmp_path):
    check_layer(WhitePoint, {}, crops(), reference=balance, num_weights=0, tmp_path=tmp_path)


def test_lamp_and_camera_make_no_difference():
    images = crops()
    gains = np.random.default_rng(1).uniform(0.5, 1.05, (len(images), 1, 1, 3)).astype("float32")
    np.testing.assert_allclose(WhitePoint()(images * gains), WhitePoint()(images), atol=0.01)


@pytest.mark.parametrize("value", (0, 3, 40))
def test_what_is_dark_all_over_is_not_made_a_slide(value):
    dark = np.full((1, 32, 32, 3), value, "float32")
    np.testing.assert_allclose(WhitePoint()(dark), dark * MAX_GAIN)


@pytest.mark.parametrize("policy", ("mixed_bfloat16", "mixed_float16"))
def test_pixels_stay_exact_under_every_policy(policy):
    expected = np.asarray(WhitePoint()(crops()))
    keras.config.set_dtype_policy(policy)
    balanced = WhitePoint()(crops())
    assert keras.backend.standardize_dtype(balanced.dtype) == "float32"
    np.testing.assert_array_equal(balanced, expected)
