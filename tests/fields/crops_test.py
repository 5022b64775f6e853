import numpy as np
import pytest

from sperm_tf.fields.crops import CROP_PER_HEAD, cut_crop, find_crop_per_head
from sperm_tf.fields.found import FoundHead
from sperm_tf.fields.pixels import ArrayPixels

PIXELS = np.random.default_rng(0).integers(0, 255, (400, 500, 3), np.uint8)


def head_at(x, y, length=40.0):
    return FoundHead(x - 20, y - 12, x + 20, y + 12, np.ones((24, 40), bool), length, 24.0)


def test_a_crop_has_the_head_in_its_middle():
    crop = cut_crop(ArrayPixels(PIXELS), head_at(250, 200))
    side = round(CROP_PER_HEAD * 40)
    assert crop.pixels.shape == (side, side, 3)
    np.testing.assert_array_equal(crop.pixels, PIXELS[136 : 136 + side, 186 : 186 + side])
    assert (crop.crop_x0, crop.crop_y0, crop.padded_share) == (186, 136, 0)


@pytest.mark.parametrize(("x", "y"), ((25, 30), (480, 380), (250, 390)))
def test_the_edge_is_repeated_where_a_crop_reaches_over_the_border(x, y):
    crop = cut_crop(ArrayPixels(PIXELS), head_at(x, y))
    side = len(crop.pixels)
    padded = np.pad(PIXELS, ((200, 200), (200, 200), (0, 0)), mode="edge")
    top, left = 200 + crop.crop_y0, 200 + crop.crop_x0
    np.testing.assert_array_equal(crop.pixels, padded[top : top + side, left : left + side])
    inside = np.pad(np.ones((400, 500)), 200)[top : top + side, left : left + side]
    assert crop.padded_share == pytest.approx(1 - inside.mean())
    assert abs(crop.crop_x0 + side / 2 - x) <= 0.5 and abs(crop.crop_y0 + side / 2 - y) <= 0.5


def test_a_crop_is_never_smaller_than_what_the_classifier_reads():
    assert cut_crop(ArrayPixels(PIXELS), head_at(250, 200, length=2.0)).pixels.shape == (16, 16, 3)


def test_crops_are_as_wide_as_those_of_the_dataset():
    assert find_crop_per_head("smids") == find_crop_per_head("") == CROP_PER_HEAD
    per_head = find_crop_per_head("hushem")
    assert len(cut_crop(ArrayPixels(PIXELS), head_at(250, 200), per_head=per_head).pixels) == round(2.6 * 40)
