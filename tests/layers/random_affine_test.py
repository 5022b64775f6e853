import numpy as np
import pytest
import scipy.ndimage


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global keras, RandomAffine
    import keras

    from sperm_tf.layers.random_affine import RandomAffine


def _picture(height=24, width=32):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5.0, columns * 5.0, (rows + 2 * columns) % 17 * 10.0], -1).astype("float32")


def _batch(count=16, **size):
    return np.repeat(_picture(**size)[None], count, 0)


def test_is_the_affine_map_that_it_drew():
    layer = RandomAffine(flip=True, rotation=0.5, zoom=0.3, translation=0.1, seed=3)
    drawn = np.asarray(RandomAffine(**_settings(layer))._draw(16, 24.0, 32.0))
    images = np.asarray(layer(_batch()))
    for image, (xx, xy, shift_x, yx, yy, shift_y, *_) in zip(images, drawn, strict=True):
        matrix = np.array([[yy, yx], [xy, xx]])  # scipy maps (row, column)
        for channel in range(3):
            expected = scipy.ndimage.affine_transform(
                _picture()[..., channel], matrix, offset=(shift_y, shift_x), order=1, mode="nearest"
            )
            np.testing.assert_allclose(image[..., channel], expected, atol=0.05)


def _settings(layer):
    return {name: layer.get_config()[name] for name in ("flip", "rotation", "zoom", "translation", "seed")}


def test_keeps_aspect_ratios_and_stays_in_its_ranges():
    layer = RandomAffine(flip=True, rotation=0.5, zoom=0.3, translation=0.1, seed=0)
    drawn = np.asarray(layer._draw(2000, 40.0, 60.0))
    linear = drawn[:, [0, 1, 3, 4]].reshape(-1, 2, 2)
    scales = np.linalg.svd(linear, compute_uv=False)
    np.testing.assert_allclose(scales[:, 0], scales[:, 1], rtol=1e-5)
    assert scales.min() >= 1 / 1.3 - 1e-5 and scales.max() <= 1.3 + 1e-5
    assert scales.min() < 0.8 and scales.max() > 1.25
    center = np.array([29.5, 19.5])  # where the centre of the output comes from
    moved = linear @ center + drawn[:, [2, 5]] - center
    assert np.abs(moved[:, 0]).max() <= 6.01 and np.abs(moved[:, 1]).max() <= 4.01
    assert np.abs(moved[:, 0]).max() > 5.5 and np.abs(moved[:, 1]).max() > 3.5
    assert 0.4 < (np.linalg.det(linear) < 0).mean() < 0.6, "half of all pairs of coins make a mirror image"


def test_rotation_is_bounded():
    drawn = np.asarray(RandomAffine(rotation=0.1, seed=0)._draw(2000, 9.0, 9.0))
    angles = np.arctan2(drawn[:, 3], drawn[:, 0])
    assert np.abs(angles).max() == pytest.approx(0.2 * np.pi, abs=0.01)


def test_does_nothing_without_a_change_or_without_training():
    np.testing.assert_array_equal(RandomAffine(seed=0)(_batch()), _batch())
    np.testing.assert_array_equal(RandomAffine(rotation=0.5, seed=0)(_batch(), training=False), _batch())


def test_reloads_and_repeats(tmp_path):
    model = keras.Sequential([keras.Input((24, 32, 3)), RandomAffine(rotation=0.5, zoom=0.1, seed=5, dtype="float32")])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    first = np.asarray(RandomAffine(rotation=0.5, zoom=0.1, seed=5)(_batch()))
    np.testing.assert_allclose(loaded(_batch(), training=True), first, atol=1e-3)
    assert not np.array_equal(first[0], first[1])


def test_refuses_negative_numbers():
    with pytest.raises(ValueError, match=r"zoom must be at least 0. Received: zoom=-0.1"):
        RandomAffine(zoom=-0.1)
