import numpy as np
import pytest

from sperm_tf.fields.tiling import HALO_PX, predict_tiles


def pyramid(reach):
    """A network of the kind that is tiled: means over 2 x 2, then over `2 * reach + 1` squares, zeros as padding."""

    def predict(images):
        assert images.shape[1] % 16 == images.shape[2] % 16 == 0
        _, height, width, channels = images.shape
        grid = images.astype(np.float64).reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3))
        padded = np.pad(grid, ((reach, reach), (reach, reach), (0, 0)))
        for axis in (0, 1):
            padded = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis).mean(axis=-1)
        return {"mean": padded[None].astype(np.float32)}

    return predict


@pytest.mark.parametrize(("tile", "halo"), [(16, 32), (48, 32), (64, 48)])
def test_tiles_predict_what_the_whole_field_does(tile, halo):
    field = np.random.default_rng(0).integers(0, 256, (150, 203, 3)).astype(np.uint8)
    whole = predict_tiles(pyramid(16), field, stride=2, tile_px=512, halo_px=0)["mean"]
    assert whole.shape == (75, 102, 3)
    tiled = predict_tiles(pyramid(16), field, stride=2, tile_px=tile, halo_px=halo)["mean"]
    np.testing.assert_allclose(tiled, whole, rtol=1e-6)


def test_a_halo_below_the_receptive_field_would_be_seen():
    field = np.random.default_rng(0).integers(0, 256, (150, 203, 3)).astype(np.uint8)
    whole, tiled = (predict_tiles(pyramid(16), field, stride=2, tile_px=tile, halo_px=16)["mean"] for tile in (512, 32))
    assert np.abs(tiled - whole).max() > 1


def test_sizes_lie_on_the_grid_of_the_strides():
    with pytest.raises(ValueError, match=r"tile_px must be a multiple of 16. Received: tile_px=100"):
        predict_tiles(pyramid(1), np.zeros((16, 16, 3), np.uint8), stride=2, tile_px=100)


def test_the_halo_covers_the_receptive_field():
    from sperm_tf.models.field_parser import RECEPTIVE_PX

    assert HALO_PX >= RECEPTIVE_PX
