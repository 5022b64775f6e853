import numpy as np
import pytest

from sperm_tf import config as config_lib
from sperm_tf.config import TrainerConfig


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global AUGMENTATIONS, build_augmentation, GEOMETRIC, keras, tf
    import keras
    import tensorflow as tf

    from sperm_tf.training.augmentation import AUGMENTATIONS, GEOMETRIC, build_augmentation


def _config(*names, mixup_alpha=0.0, seed=3):
    return TrainerConfig(augmentation=names, mixup_alpha=mixup_alpha, seed=seed)


def _batch(count=16, size=32):
    images = np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype("uint8")
    return images, np.eye(4, dtype="float32")[np.arange(count) % 4]


def _dataset(config, *, epoch=0):
    augment = build_augmentation(config, epoch=epoch)
    return tf.data.Dataset.from_tensor_slices(_batch()).batch(8).map(augment, num_parallel_calls=1)


def _collect(dataset):
    images, labels = zip(*dataset, strict=True)
    return np.concatenate(images), np.concatenate(labels)


@pytest.mark.slow
@pytest.mark.parametrize("mixup_alpha", (0.0, 0.3))
@pytest.mark.parametrize("name", config_lib.AUGMENTATIONS)
def test_entry_in_tf_data(name, mixup_alpha):
    config = _config(name, mixup_alpha=mixup_alpha)
    source, one_hot = _batch()
    images, labels = _collect(_dataset(config))
    assert (images.shape, images.dtype, labels.dtype) == (source.shape, "float32", "float32")
    assert images.min() >= 0
    assert images.max() <= 255 + 1e-3
    assert images.max() > 150, "pixels must stay in 0-255"
    assert not np.array_equal(images, source)
    assert mixup_alpha or np.array_equal(labels, one_hot)

    for again, expected in zip(_collect(_dataset(config)), (images, labels), strict=True):
        np.testing.assert_array_equal(again, expected, err_msg="a seed must repeat itself")
    assert not np.array_equal(_collect(_dataset(config, epoch=1))[0], images)
    assert not np.array_equal(_collect(_dataset(_config(name, mixup_alpha=mixup_alpha, seed=4)))[0], images)


@pytest.mark.parametrize("name", config_lib.AUGMENTATIONS)
def test_entry_eagerly(name):
    images, labels = build_augmentation(_config(name))(*_batch())
    again, _ = build_augmentation(_config(name))(*_batch())
    assert keras.backend.standardize_dtype(images.dtype) == "float32"
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, _batch()[1])


@pytest.mark.parametrize("name", config_lib.AUGMENTATIONS)
def test_images_of_a_batch_are_changed_each_in_its_own_way(name):
    image, label = _batch(1)
    images = np.asarray(build_augmentation(_config(name))(np.repeat(image, 32, 0), np.repeat(label, 32, 0))[0])
    assert len(np.unique(images.reshape(32, -1), axis=0)) > 1


@pytest.mark.parametrize("precision", ("float32", "mixed_bfloat16"))
def test_no_augmentation_is_a_cast(precision):
    keras.config.set_dtype_policy(precision)
    try:
        images, labels = build_augmentation(_config())(*_batch())
        flipped, _ = build_augmentation(_config("flip"))(*_batch())
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(images.dtype) == "float32"
    assert keras.backend.standardize_dtype(flipped.dtype) == "float32"
    np.testing.assert_array_equal(images, _batch()[0])
    np.testing.assert_array_equal(labels, _batch()[1])


def test_flip_goes_both_ways_and_nowhere_else():
    image = _batch(1)[0][0]
    images = np.asarray(build_augmentation(_config("flip"))(np.repeat(image[None], 64, 0), np.zeros((64, 4)))[0])
    variants = [image, image[::-1], image[:, ::-1], image[::-1, ::-1]]
    counts = [sum(np.array_equal(each, variant) for each in images) for variant in variants]
    assert min(counts) > 0
    assert sum(counts) == 64


def test_geometric_changes_are_one_resampling():
    layers = build_augmentation(_config("zoom", "hue", "flip", "translation")).layers
    assert [type(layer).__name__ for layer in layers] == ["RandomAffine", "RandomHue"]
    changes = layers[0].get_config()
    assert (changes["flip"], changes["rotation"], changes["zoom"], changes["translation"]) == (True, 0, 0.15, 0.08)


def test_rotation_turns_by_any_angle_and_fills_with_the_edge():
    image = np.full((33, 33, 3), 60, "float32")
    image[14:19, 16:] = 200  # a bar from the centre to the right
    images = build_augmentation(_config("rotation"))(np.repeat(image[None], 64, 0), np.zeros((64, 4)))[0]
    images = np.asarray(images)
    # Where the bar points is where the disc of radius 12 is brightest.
    rows, columns = np.mgrid[-16:17, -16:17]
    disc = (rows**2 + columns**2 <= 144)[..., None]
    weights = (images - 60) * disc
    angles = np.arctan2((weights * rows[..., None]).sum((1, 2, 3)), (weights * columns[..., None]).sum((1, 2, 3)))
    assert np.histogram(angles, bins=4, range=(-np.pi, np.pi))[0].min() >= 5
    assert images.min() >= 60 - 1e-3, "no black corners"


def test_saturation_keeps_hue_and_value():
    images, labels = _batch()
    changed = np.asarray(build_augmentation(_config("saturation"))(images, labels)[0])
    np.testing.assert_allclose(changed.max(-1), images.max(-1), atol=1e-2)
    assert (np.argmax(changed, -1) == np.argmax(images, -1)).mean() > 0.95


def test_mixup_mixes_images_and_labels_by_the_same_weights():
    # Constant images whose value tells the class: the mixed pixel must tell the mixed label.
    classes = np.arange(2048) % 4
    labels = np.eye(4, dtype="float32")[classes]
    values = np.array([0, 50, 110, 240], "float32")
    images = np.broadcast_to((labels @ values)[:, None, None, None], (2048, 4, 4, 3))
    images, mixed = (np.asarray(part) for part in build_augmentation(_config(mixup_alpha=0.4))(images, labels))
    np.testing.assert_allclose(mixed.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(images[:, 3, 3, 1], mixed @ values, rtol=1e-4, atol=1e-3)
    # The share of an image that met another class follows Beta(alpha, alpha), of variance 1 / (4 (2 alpha + 1)).
    shares = mixed[np.arange(2048), classes][mixed.max(-1) < 1 - 1e-6]
    assert len(shares) > 1000
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)
    assert np.var(shares) == pytest.approx(1 / (4 * 1.8), rel=0.1)


def test_unknown_names_are_refused_with_the_valid_ones():
    with pytest.raises(ValueError, match=r"flip, rotation, .*stain_jitter. Received: trainer.augmentation='flipp'"):
        _config("flip", "flipp")


def test_stain_jitter_needs_tensorflow(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"'stain_jitter'.*backend='jax'"):
        build_augmentation(_config("stain_jitter"))


def test_stain_jitter_says_how_to_install_keras_cv(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keras_cv", None)
    with pytest.raises(ImportError, match="pip install keras-cv"):
        build_augmentation(_config("stain_jitter"))


def test_the_configuration_knows_the_same_names():
    assert (*GEOMETRIC, *AUGMENTATIONS) == config_lib.AUGMENTATIONS
