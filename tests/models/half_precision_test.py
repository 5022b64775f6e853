import re

import numpy as np
import pytest

from sperm_tf.models.errors import WeightsError


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global half_precision, keras
    import keras

    from sperm_tf.models import half_precision


def _build(channels=4):
    image = keras.Input((6, 6, 3), name="image")
    features = keras.layers.Normalization(name="normalize", mean=None, variance=None)(image)
    features = keras.layers.Conv2D(channels, 3, name="conv")(features)
    features = keras.layers.BatchNormalization(name="norm")(features)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(features))
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    model.get_layer("normalize").finalize_state()
    return model


def test_names_and_types_of_the_arrays(tmp_path):
    model = _build()
    half_precision.save_weights(model, tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        stored = {key: file[key] for key in file}
    assert {key: str(array.dtype) for key, array in stored.items()} == {
        "conv/bias": "float32",
        "conv/kernel": "float16",
        "norm/beta": "float32",
        "norm/gamma": "float32",
        "norm/moving_mean": "float32",
        "norm/moving_variance": "float32",
        "normalize/count": "int64",
        "normalize/mean": "float32",
        "normalize/variance": "float32",
    }
    assert list(stored) == sorted(stored)
    kernel, bias = model.get_layer("conv").get_weights()
    np.testing.assert_array_equal(stored["conv/kernel"], kernel.astype("float16"))
    np.testing.assert_array_equal(stored["conv/bias"], bias)


def test_equal_weights_give_equal_bytes(tmp_path):
    for name in ("first", "second"):
        half_precision.save_weights(_build(), tmp_path / f"{name}.npz")
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.npz", "second.npz"]


def test_a_model_comes_back_but_for_rounding(tmp_path):
    model, other = _build(), _build()
    half_precision.save_weights(model, tmp_path / "model.npz")
    for weight in other.weights:
        weight.assign(keras.ops.ones_like(weight))
    other.get_layer("normalize").finalize_state()
    half_precision.assign_layers(other.layers, half_precision.read_weights(tmp_path / "model.npz"))
    images = np.random.default_rng(1).uniform(0, 255, (2, 6, 6, 3)).astype("float32")
    # The constants of the normalization follow, too: without them the outputs would differ by far more.
    np.testing.assert_allclose(other(images), model(images), rtol=2e-3)
    rounded = model.get_layer("conv").get_weights()[0].astype("float16").astype("float32")
    np.testing.assert_array_equal(other.get_layer("conv").get_weights()[0], rounded)


def test_what_is_missing_or_has_another_shape_changes_nothing(tmp_path):
    arrays = half_precision.layer_arrays(_build(channels=5).layers)
    model = _build()
    before = model.get_weights()
    message = re.escape("its 'conv/kernel' has shape (3, 3, 3, 5) instead of (3, 3, 3, 4).")
    with pytest.raises(WeightsError, match=message):
        half_precision.assign_layers(model.layers, arrays)
    with pytest.raises(WeightsError, match="lacks 1 of 3 layers, the first is 'norm'"):
        half_precision.assign_layers(
            model.layers, {key: array for key, array in arrays.items() if not key.startswith("norm/")}
        )
    arrays = half_precision.layer_arrays(model.layers)
    del arrays["conv/bias"]
    with pytest.raises(WeightsError, match="lacks 'conv/bias'"):
        half_precision.assign_layers(model.layers, arrays)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("value", (1e5, np.nan))
def test_kernels_beyond_half_precision_are_refused(value, tmp_path):
    model = _build()
    kernel, bias = model.get_layer("conv").get_weights()
    kernel[0, 0, 0, 0] = value
    model.get_layer("conv").set_weights([kernel, bias])
    with pytest.raises(WeightsError, match=r"float16\. Received: 'conv/kernel' with the largest value"):
        half_precision.save_weights(model, tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_vectors_keep_the_range_of_float32(tmp_path):
    model = _build()
    gamma, beta, mean, variance = model.get_layer("norm").get_weights()
    model.get_layer("norm").set_weights([gamma, beta, mean, variance * 1e6])
    half_precision.save_weights(model, tmp_path / "model.npz")
    stored = half_precision.read_weights(tmp_path / "model.npz")
    np.testing.assert_array_equal(stored["norm/moving_variance"], variance * 1e6)


@pytest.mark.parametrize("content", (b"", b"no weights", b"PK\x03\x04 and nothing"))
def test_unreadable_files_are_named(content, tmp_path):
    (tmp_path / "broken.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.npz"):
        half_precision.read_weights(tmp_path / "broken.npz")


def test_pickles_are_never_read(tmp_path):
    with (tmp_path / "evil.npz").open("wb") as stream:
        np.savez(stream, **{"conv/kernel": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        half_precision.read_weights(tmp_path / "evil.npz")


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"path must end in \.npz"):
        half_precision.save_weights(_build(), tmp_path / "model.h5")
