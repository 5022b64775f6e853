import functools
import hashlib
import http.server
import threading

import h5py
import numpy as np
import pytest

from sperm_tf.config import ModelConfig
from sperm_tf.models import released

pytestmark = pytest.mark.slow


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global backbone_layers, build_classifier, build_released, efficientnet, keras, keras_config, legacy_h5_format
    global save_weights, weight_files, WeightsError
    import keras
    from keras.src.applications import efficientnet
    from keras.src.backend import config as keras_config
    from keras.src.legacy.saving import legacy_h5_format

    from sperm_tf.models.classifier import backbone_layers, build_classifier
    from sperm_tf.models.half_precision import save_weights
    from sperm_tf.models.pretrained import build_released
    from sperm_tf.models.weights import WeightsError
    from tests.models import weight_files


MEAN, STDDEV = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLACES = ("block2", "block5b_add", "top")


def _images(size=32):
    return np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype("float32")


def _build(weights, *, name="efficientnet_b0_cbam", cbam_after=("top",)):
    return build_classifier(
        ModelConfig(name=name, weights=weights, cbam_after=cbam_after), num_classes=3, image_size=32
    )


def _features(model, layer="feature_map"):
    return np.asarray(keras.Model(model.input, model.get_layer(layer).output)(_images()))


def _backbone_weights(model):
    return {layer.name: layer.get_weights() for layer in backbone_layers(model) if layer.weights}


def _assert_same_backbone(first, second):
    assert list(first) == list(second)
    for name, arrays in first.items():
        for one, other in zip(arrays, second[name], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


def _assert_same_features(model, expected):
    for layer, features in zip(("stem_conv", "top_activation"), expected, strict=True):
        np.testing.assert_allclose(_features(model, layer), features, rtol=1e-4, atol=1e-5, err_msg=layer)


@pytest.fixture(scope="module")
def plain():
    """A network with the peculiarity of the published ImageNet weights: deviations stored as variances."""
    keras.utils.set_random_seed(3)
    model = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    model.layers[2].set_weights([np.array(MEAN), np.array(STDDEV), np.array(0)])
    model.layers[2].finalize_state()
    generator = np.random.default_rng(4)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def files(plain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    plain.save_weights(folder / "backbone.weights.h5")
    with h5py.File(folder / "efficientnetb0_notop.h5", "w") as file:  # the format of the published file
        legacy_h5_format.save_weights_to_hdf5_group(file, plain)
    return folder


@pytest.fixture
def server(files, tmp_path, monkeypatch):
    """Keras Applications' download, pointed at a local server and an empty cache."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(files))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        (tmp_path / "keras").mkdir()  # where it does not exist, Keras would take a folder outside the test
        monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path / "keras"))
        monkeypatch.setattr(efficientnet, "BASE_WEIGHTS_PATH", f"http://127.0.0.1:{running.server_port}/")
        digest = hashlib.md5((files / "efficientnetb0_notop.h5").read_bytes()).hexdigest()
        monkeypatch.setitem(efficientnet.WEIGHTS_HASHES, "b0", ("", digest))
        yield tmp_path / "keras" / "models" / "efficientnetb0_notop.h5"
        running.shutdown()


@pytest.fixture
def imagenet_features(server):
    """What Keras' own ImageNet model computes, at its first convolution, where the pixels' scale shows, and last."""
    model = keras.applications.EfficientNetB0(include_top=False, input_shape=(32, 32, 3))
    return _features(model, "stem_conv"), _features(model, "top_activation")


def test_imagenet_is_downloaded_and_equals_keras_applications(server, plain, imagenet_features):
    server.unlink()
    model = _build("imagenet", name="efficientnet_b0")
    assert server.is_file(), "the file must come through the cache of Keras"
    _assert_same_features(model, imagenet_features)
    uncorrected = _features(plain, "stem_conv")
    assert np.abs(uncorrected - imagenet_features[0]).max() > 0.1, "the correction must matter here"


@pytest.mark.parametrize("name", ("backbone.weights.h5", "efficientnetb0_notop.h5"))
def test_a_file_with_imagenet_weights_equals_the_download(name, files, imagenet_features):
    """Keras itself forgets its correction here: the same weights from a path compute something else."""
    model = _build(str(files / name), name="efficientnet_b0")
    _assert_same_features(model, imagenet_features)


def test_weights_load_by_name_wherever_cbam_stands(files, plain):
    model = _build(str(files / "backbone.weights.h5"), cbam_after=PLACES)
    assert {layer.name for layer in model.layers if layer.name.startswith("cbam_")} == {f"cbam_{p}" for p in PLACES}
    expected = {layer.name: layer.get_weights() for layer in plain.layers if layer.weights}
    expected["normalize_pixels"] = expected.pop(plain.layers[2].name)
    actual = _backbone_weights(model)
    _assert_same_backbone({name: expected[name] for name in actual}, actual)
    assert set(expected) == set(actual)


def test_a_classifier_of_ours_gives_its_backbone_to_another(files, tmp_path):
    first = _build(str(files / "backbone.weights.h5"), cbam_after=PLACES)
    first.save(tmp_path / "first.keras")
    second = _build(str(tmp_path / "first.keras"), name="efficientnet_b0")
    _assert_same_backbone(_backbone_weights(first), _backbone_weights(second))
    # Same weights, so the same correction of the pixels: compare before any attention.
    np.testing.assert_array_equal(_features(first, "stem_conv"), _features(second, "stem_conv"))


def _cbam_weights(model):
    return {layer.name: layer.get_weights() for layer in model.layers if layer.name.startswith("cbam_")}


def _save(model, path):
    if path.suffix == ".npz":
        save_weights(model, path)
    else:
        model.save(path)


@pytest.mark.parametrize("suffix", (".keras", ".npz"))
def test_cbam_takes_its_weights_where_it_stands_in_the_same_place(suffix, tmp_path):
    first = weight_files.build(ModelConfig(cbam_after=("block2", "block5b_add", "top")))
    _save(first, tmp_path / f"first{suffix}")
    # block2 ends with block2b_add: another name of the same place.
    second = _build(str(tmp_path / f"first{suffix}"), cbam_after=("block2b_add", "block3", "top"))
    given, taken = _cbam_weights(first), _cbam_weights(second)
    tolerance = {"rtol": 1e-3, "atol": 1e-3} if suffix == ".npz" else {"rtol": 0}
    for source, target in (("cbam_block2", "cbam_block2b_add"), ("cbam_top", "cbam_top")):
        for one, other in zip(given[source], taken[target], strict=True):
            np.testing.assert_allclose(other, one, **tolerance)
    fresh = _cbam_weights(_build("none", cbam_after=("block2b_add", "block3", "top")))
    biases = [weight for weight in taken["cbam_block3"] if weight.ndim == 1]
    assert all(not bias.any() for bias in biases), "a place that the other lacks starts fresh"
    assert [weight.shape for weight in fresh["cbam_block3"]] == [weight.shape for weight in taken["cbam_block3"]]


@pytest.mark.parametrize("suffix", (".keras", ".npz"))
def test_cbam_of_another_shape_starts_fresh_and_the_backbone_loads(suffix, tmp_path):
    first = weight_files.build(ModelConfig(reduction=16))
    _save(first, tmp_path / f"first{suffix}")
    config = ModelConfig(weights=str(tmp_path / f"first{suffix}"), reduction=8)
    second = build_classifier(config, num_classes=3, image_size=32)
    squeeze = second.get_layer("cbam_top").channel_attention.squeeze
    assert squeeze.units == 160 and not np.asarray(squeeze.bias).any()
    for name, arrays in _backbone_weights(first).items():
        for one, other in zip(arrays, _backbone_weights(second)[name], strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("weights", ("synthetic", "path"))
@pytest.mark.parametrize("name", ("efficientnet_b0", "efficientnet_b0_cbam"))
def test_the_synthetic_release_starts_both_networks(name, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(released, "RELEASED_DIR", tmp_path)
    source = weight_files.release(tmp_path, "synthetic", ModelConfig(), class_names=tuple("abcdefg"))
    assert (tmp_path / "synthetic.npz").stat().st_size < 10_000_000
    model = _build(weights if weights == "synthetic" else str(tmp_path / "synthetic.npz"), name=name)
    np.testing.assert_allclose(
        _features(model, "top_activation"), _features(source, "top_activation"), rtol=0.05, atol=0.02
    )
    if name == "efficientnet_b0_cbam":
        for one, other in zip(*(_cbam_weights(each)["cbam_top"] for each in (source, model)), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)
    assert model.output_shape == (None, 3)


def test_a_release_that_came_from_imagenet_keeps_its_correction(files, tmp_path):
    first = _build(str(files / "backbone.weights.h5"))
    assert "rescale_imagenet" in {layer.name for layer in first.layers}
    _save(first, tmp_path / "first.npz")
    second = _build(str(tmp_path / "first.npz"))
    np.testing.assert_allclose(_features(second, "stem_conv"), _features(first, "stem_conv"), rtol=1e-2, atol=1e-2)
    release = released.Release(
        name="first",
        file="first.npz",
        sha256=hashlib.sha256((tmp_path / "first.npz").read_bytes()).hexdigest(),
        num_bytes=0,
        model=ModelConfig(weights="imagenet"),
        class_names=("a", "b", "c"),
        image_size=32,
        views=1,
        training={},
        folder=tmp_path,
    )
    built = build_released(release)  # without a download
    np.testing.assert_array_equal(_features(built, "stem_conv"), _features(second, "stem_conv"))
    np.testing.assert_allclose(built(_images()), first(_images()), rtol=0.02, atol=0.02)


def test_simple_cnn_takes_its_own_classifier(tmp_path):
    first = _build("none", name="simple_cnn")
    first.save(tmp_path / "first.keras")
    second = _build(str(tmp_path / "first.keras"), name="simple_cnn")
    np.testing.assert_array_equal(_features(first), _features(second))


def test_random_weights_need_no_correction():
    names = [layer.name for layer in _build("none").layers]
    assert "rescale_imagenet" not in names


def test_no_network_is_an_error_that_names_the_alternatives(server, files, monkeypatch):
    monkeypatch.setattr(efficientnet, "BASE_WEIGHTS_PATH", "http://127.0.0.1:9/")
    with pytest.raises(WeightsError, match="URL fetch failure") as raised:
        _build("imagenet")
    for alternative in ("weights='none'", "efficientnetb0_notop.h5", "path", "network"):
        assert alternative in str(raised.value)
    assert not server.exists()


def test_a_corrupt_download_is_an_error(server, monkeypatch):
    monkeypatch.setitem(efficientnet.WEIGHTS_HASHES, "b0", ("", "0" * 32))
    with pytest.raises(WeightsError, match="file hash does not match"):
        _build("imagenet")


@pytest.mark.parametrize("suffix", (".keras", ".npz", ".weights.h5", ".h5"))
def test_files_that_do_not_fit_are_named(suffix, tmp_path):
    path = tmp_path / f"other{suffix}"
    other = _build("none", name="simple_cnn")
    if suffix == ".weights.h5":
        other.save_weights(path)
    else:
        _save(other, path)
    reason = "lacks .* layers, the first is 'normalize_pixels'" if suffix in (".keras", ".npz") else ""
    with pytest.raises(WeightsError, match=f"other{suffix}.*{reason}"):
        _build(str(path))


@pytest.mark.parametrize("suffix", (".keras", ".npz", ".weights.h5", ".h5"))
def test_unreadable_files_are_named(suffix, tmp_path):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=f"broken{suffix}"):
        _build(str(path))


def test_missing_files_and_other_suffixes_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="no such file exists"):
        _build(str(tmp_path / "none.h5"))
    with pytest.raises(WeightsError, match="no such file exists"):
        _build("imagnet", name="simple_cnn")
    (tmp_path / "weights.ckpt").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"ends in \.weights\.h5, \.h5, \.keras, \.npz"):
        _build(str(tmp_path / "weights.ckpt"))
