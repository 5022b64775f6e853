"""The width of a head's outline against that of a blurred step, which is known."""

import numpy as np
import pytest
from scipy import ndimage

from sperm_tf.fields.focus import MAX_EDGE_WIDTH, describe_edge_limit, find_edge_limit, measure_edge_width
from sperm_tf.fields.found import FoundHead
from sperm_tf.fields.pixels import ArrayPixels
from tests.fields.drawn_fields import ellipse

SIZE, HEAD_PX = 160, 60
MASK = ellipse(SIZE, SIZE, (80, 80), HEAD_PX, 0.6 * HEAD_PX, 0.4)
HEAD = FoundHead(0, 0, SIZE, SIZE, MASK, HEAD_PX, 0.6 * HEAD_PX)
OWN_SMOOTHING = 0.023  # in lengths of a head


def _draw(blur, contrast):
    stain = ndimage.gaussian_filter(MASK.astype(float), blur * HEAD_PX)[..., None]
    return np.round(230 - contrast * stain * np.array([0.9, 1.0, 0.3])).astype(np.uint8)


@pytest.mark.parametrize("contrast", [60, 200])
@pytest.mark.parametrize("blur", [0.03, 0.06, 0.1])
def test_the_width_is_that_of_a_step_that_was_blurred_as_much(blur, contrast):
    width = measure_edge_width(ArrayPixels(_draw(blur, contrast)), HEAD, head_length_px=HEAD_PX)
    expected = np.sqrt(2 * np.pi) * np.hypot(blur, OWN_SMOOTHING)  # contrast over the slope of a Gaussian's integral
    assert width == pytest.approx(expected, rel=0.12)
    assert (width > MAX_EDGE_WIDTH) is (blur > 0.05)


def test_a_head_without_contrast_has_no_outline():
    flat = ArrayPixels(np.full((SIZE, SIZE, 3), 128, np.uint8))
    assert measure_edge_width(flat, HEAD, head_length_px=HEAD_PX) == np.inf


def test_the_limit_follows_the_sharpest_tenth_of_many_heads_and_is_never_below_that_of_a_sharp_field():
    sharp, coarse = np.linspace(0.05, 0.4, 101), np.linspace(0.2, 0.5, 101)
    assert find_edge_limit(sharp) == MAX_EDGE_WIDTH and describe_edge_limit(MAX_EDGE_WIDTH) == ""
    assert find_edge_limit(coarse) == pytest.approx(1.4 * 0.23)
    assert find_edge_limit(coarse[::6]) == MAX_EDGE_WIDTH  # 17 heads say nothing of a microscope
    assert find_edge_limit([*coarse, np.inf]) == pytest.approx(1.4 * 0.23)
    assert find_edge_limit(coarse + 0.3) == 0.45
    assert "0.23 of a head's length" in describe_edge_limit(1.4 * 0.23)
