import numpy as np
import pytest

pytestmark = pytest.mark.slow


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_with_cbam, keras, resolve_places
    import keras

    from sperm_tf.models.cbam_insertion import resolve_places
    from sperm_tf.models.efficientnet import build_with_cbam


SETTINGS = {"weights": "none", "cbam_after": (), "reduction": 4, "norm_momentum": 0.99}


def _image():
    return keras.Input((32, 32, 3), name="image")


@pytest.fixture(scope="module")
def plain():
    return keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))


def _consumers(model, layer):
    """Names of the layers that read a layer's output."""
    output = model.get_layer(layer).output
    return {other.name for other in model.layers if any(tensor is output for tensor in _inputs(other))}


def _inputs(layer):
    return [layer.input] if not isinstance(layer.input, list) else layer.input


def test_without_cbam_it_is_the_network_of_keras_applications(plain):
    backbone = build_with_cbam(_image(), **SETTINGS)
    names = [layer.name for layer in backbone.layers]
    assert names[1:3] == ["rescale_pixels", "normalize_pixels"]
    assert names[3:] == [layer.name for layer in plain.layers][3:]
    assert backbone.count_params() == plain.count_params()

    backbone.set_weights(plain.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(backbone(images), plain(images), rtol=1e-4, atol=1e-5)


def test_every_reader_of_a_block_reads_cbam_instead(plain):
    places = ("block1", "block3b_add", "block4a_project_bn", "top")
    backbone = build_with_cbam(_image(), **{**SETTINGS, "cbam_after": places})
    followed = {
        "block1": "block1a_project_bn",
        "block3b_add": "block3b_add",
        "block4a_project_bn": "block4a_project_bn",
        "top": "top_activation",
    }
    for place, layer in followed.items():
        assert _consumers(backbone, layer) == {f"cbam_{place}"}
        assert _consumers(backbone, f"cbam_{place}") == _consumers(plain, layer)
    assert backbone.layers[-1].name == "cbam_top"


def test_a_stage_is_its_last_layer_and_errors_list_the_places(plain):
    places = resolve_places(plain, [f"block{stage}" for stage in range(1, 8)])
    assert list(places) == [
        "block1a_project_bn",
        "block2b_add",
        "block3b_add",
        "block4c_add",
        "block5c_add",
        "block6d_add",
        "block7a_project_bn",
    ]
    with pytest.raises(ValueError, match=r"top, block1, .*block7, .*block6d_add.*Received: 'block8'"):
        resolve_places(plain, ["block8"])
    with pytest.raises(ValueError, match="'block3' and 'block3b_add' are the same layer"):
        resolve_places(plain, ["block3", "block3b_add"])
    with pytest.raises(ValueError, match="same layer"):
        resolve_places(plain, ["top", "top"])


def test_reduction_larger_than_a_block_is_refused():
    with pytest.raises(ValueError, match="reduction must be at most"):
        build_with_cbam(_image(), **{**SETTINGS, "cbam_after": ("block1",), "reduction": 32})
