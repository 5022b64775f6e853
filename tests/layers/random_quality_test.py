import numpy as np
import pytest
from skimage.color import hed_from_rgb, rgb_from_hed


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global keras, random_quality, RandomNoise, RandomStain, RGB_FROM_HED
    import keras

    from sperm_tf.layers import random_quality
    from sperm_tf.layers.random_quality import RGB_FROM_HED, RandomNoise, RandomStain


@pytest.fixture(params=["RandomNoise", "RandomStain"])
def layer_class(request):
    return getattr(random_quality, request.param)


def _batch(count, value=None, side=32):
    pixels = np.random.default_rng(0).uniform(20, 235, (1, side, side, 3)) if value is None else value
    return np.broadcast_to(np.asarray(pixels, "float32"), (count, side, side, 3)).copy()


def test_noise_is_gaussian_of_a_strength_drawn_for_half_of_the_images():
    images = np.asarray(RandomNoise(strength=0.1, seed=1)(_batch(400, 128.0)))
    deviations = images.std(axis=(1, 2, 3))
    assert 0.4 < (deviations == 0).mean() < 0.6
    drawn = deviations[deviations > 0]
    assert drawn.max() < 27 and drawn.max() > 23
    assert drawn.mean() == pytest.approx(25.5 / 2, rel=0.1)
    strongest = (images[deviations.argmax()] - 128).ravel() / deviations.max()
    assert np.mean(np.abs(strongest) < 1) == pytest.approx(0.683, abs=0.03)


def test_stains_change_as_scikit_images_matrices_have_it():
    np.testing.assert_allclose(RGB_FROM_HED, rgb_from_hed, atol=1e-6)
    source = _batch(50)
    changed = np.asarray(RandomStain(strength=0.05, seed=2)(source)).astype(np.float64)

    def stains(images):
        return -np.log10(images.reshape(-1, 32 * 32, 3) / 255) @ hed_from_rgb

    for before, after, pixels in zip(stains(source.astype(np.float64)), stains(changed), changed, strict=True):
        if pixels.max() > 254:  # cut off at white
            continue
        for stain in range(3):
            factor, offset = np.polyfit(before[:, stain], after[:, stain], 1)
            assert abs(factor - 1) <= 0.051 and abs(offset) <= 0.051
            np.testing.assert_allclose(after[:, stain], factor * before[:, stain] + offset, atol=1e-3)


def test_range_training_and_reloading(layer_class, tmp_path):
    layer = layer_class(strength=0.3, seed=5, dtype="float32")
    source = _batch(8)
    np.testing.assert_array_equal(layer(source, training=False), source)
    model = keras.Sequential([keras.Input((32, 32, 3)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    first = np.asarray(layer_class(strength=0.3, seed=5)(source))
    np.testing.assert_allclose(loaded(source, training=True), first, atol=1e-3)
    assert first.min() >= 0 and first.max() <= 255
    assert not np.array_equal(first[0], first[1]) or not np.array_equal(first[0], first[2])
    assert np.isfinite(np.asarray(layer_class(strength=0.3, seed=5)(_batch(4, 0.0)))).all()


def test_a_wrong_strength_is_refused(layer_class):
    with pytest.raises(ValueError, match=r"strength must be between 0 and 1.0. Received: strength=-0.1"):
        layer_class(strength=-0.1)
