import numpy as np
import pytest

from sperm_tf.fields.parsing import OUTPUTS
from sperm_tf.fields.tiling import predict_tiles


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_field_parser, freeze_early_stages, keras, RECEPTIVE_PX
    import keras

    from sperm_tf.models.field_parser import RECEPTIVE_PX, build_field_parser, freeze_early_stages


@pytest.fixture(scope="module")
def parser():
    keras.utils.set_random_seed(0)
    return build_field_parser()


def predict(parser, images):
    found = parser(images.astype(np.float32), training=False)
    return {name: keras.ops.convert_to_numpy(values) for name, values in found.items()}


@pytest.mark.parametrize("size", [(48, 96), (64, 32)])
def test_any_size_gives_maps_at_half_of_it(parser, size):
    found = predict(parser, np.zeros((2, *size, 3)))
    assert set(found) == set(OUTPUTS)
    channels = {"parts": 5, "vacuoles": 1, "centers": 1, "offsets": 2}
    assert {name: values.shape for name, values in found.items()} == {
        name: (2, size[0] // 2, size[1] // 2, count) for name, count in channels.items()
    }


def test_two_tilings_and_the_whole_field_agree(parser):
    field = np.random.default_rng(1).integers(0, 256, (48, 928, 3)).astype(np.uint8)
    whole, coarse, fine = (
        predict_tiles(lambda images: predict(parser, images), field, stride=2, tile_px=tile)
        for tile in (1024, 320, 208)
    )
    for name in OUTPUTS:
        assert np.ptp(whole[name]) > 1e-3
        np.testing.assert_allclose(coarse[name], whole[name], atol=2e-5)
        np.testing.assert_allclose(fine[name], whole[name], atol=2e-5)


def test_nothing_beyond_the_receptive_field_matters(parser):
    field = np.random.default_rng(2).integers(0, 256, (1, 32, 640, 3)).astype(np.uint8)
    changed = field.copy()
    changed[:, :, 400:] = 255 - changed[:, :, 400:]
    before, after = predict(parser, field), predict(parser, changed)
    same = (400 - RECEPTIVE_PX) // 2
    for name in OUTPUTS:
        np.testing.assert_array_equal(before[name][:, :, :same], after[name][:, :, :same])
        assert (before[name][:, :, same + 16 : 200] != after[name][:, :, same + 16 : 200]).any()


def test_the_first_stages_can_be_frozen(parser):
    freeze_early_stages(parser, 2)
    trained = {variable.path.partition("/")[0] for variable in parser.trainable_variables}
    freeze_early_stages(parser, 0)
    assert not any(name.startswith(("block1", "block2")) for name in trained)
    assert any(name.startswith("block3") for name in trained)
    assert any(name.startswith("decoder2") for name in trained)


def test_unknown_weights_are_refused():
    with pytest.raises(
        ValueError, match=r"weights must be 'none', 'imagenet_lite0' or a .npz file. Received: weights='imagenet'"
    ):
        build_field_parser("imagenet")
