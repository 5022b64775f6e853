"""Regions of a reduced picture against Pillow's reduction of the whole."""

import numpy as np
import pytest
from PIL import Image

from sperm_tf.fields import pixels as module
from sperm_tf.fields.pixels import ArrayPixels, ReducedPixels, read_reduced

SIZES = (((300, 400), (137, 211)), ((301, 403), (301, 200)), ((500, 500), (200, 200)), ((77, 91), (76, 90)))


def _random(shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.parametrize(("full", "small"), SIZES)
def test_every_region_is_that_of_the_whole_picture(monkeypatch, full, small):
    monkeypatch.setattr(module, "_BAND_PIXELS", 10_000)
    pixels = _random(full)
    expected = np.asarray(Image.fromarray(pixels).resize(small[::-1], Image.Resampling.BOX))
    reduced = ReducedPixels(ArrayPixels(pixels), small)
    np.testing.assert_array_equal(reduced.read(), expected)
    for y0, x0, height, width in ((0, 0, 1, 1), (13, 50, 40, 33), (small[0] - 7, small[1] - 9, 7, 9)):
        np.testing.assert_array_equal(
            reduced.read_region(y0, x0, height, width), expected[y0 : y0 + height, x0 : x0 + width]
        )


def test_a_picture_is_reduced_only_where_it_is_too_large():
    pixels = _random((40, 60))
    same, scale = read_reduced(ArrayPixels(pixels), 60)
    np.testing.assert_array_equal(same, pixels)
    assert scale == 1
    smaller, scale = read_reduced(ArrayPixels(pixels), 30)
    assert smaller.shape == (20, 30, 3) and scale == 0.5
