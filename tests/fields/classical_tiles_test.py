"""Heads found tile by tile against those found in the field at once: the same, to the last pixel."""

import numpy as np
import pytest

from sperm_tf.fields import classical, classical_levels, tiles
from sperm_tf.fields.classical import ClassicalFinder, ClassicalOptions
from sperm_tf.fields.pixels import ArrayPixels
from sperm_tf.fields.stain import MEDIAN
from tests.fields.drawn_fields import draw_field

# In lengths of a head: on borders of tiles, at borders of the field, touching. The field is longer than a tile sees.
HEADS = ((5.7, 2.9, 0.3), (17.0, 3.5, 1.2), (17.1, 4.4, 1.2), (0.2, 4.7, 1.5), (29.5, 0.2, 0.2), (34.1, 5.0, 2.0))
DROPS, ROUND_CELLS = ((3.3, 5.7, 0.45),), ((25.3, 3.7, 1.8),)
SHAPE = (7.1, 38.3)


def _draw(head_px, *, is_turned=False):
    heads = [(x * head_px, y * head_px, angle) for x, y, angle in HEADS]
    drops, round_cells = ([tuple(head_px * value for value in one) for one in kind] for kind in (DROPS, ROUND_CELLS))
    size = tuple(round(side * head_px) for side in SHAPE)  # no multiples of 8
    pixels = draw_field(heads, size=size, head_px=head_px, shade=0.2, blue=drops, round_cells=round_cells)[0]
    return np.ascontiguousarray(pixels.swapaxes(0, 1)) if is_turned else pixels


def _assert_same(found, expected):
    assert len(found.heads) == len(expected.heads)
    for one, other in zip(found.heads, expected.heads, strict=True):
        assert (one.box, one.length_px, one.width_px, one.flags) == (
            other.box, other.length_px, other.width_px, other.flags
        )  # fmt: skip
        np.testing.assert_array_equal(one.mask, other.mask)
    assert (found.background, found.coverage) == (expected.background, expected.coverage)


@pytest.mark.parametrize(("head_px", "tiles_px"), [(24, (136, 200, 2048)), (31, (136,))])
def test_heads_are_those_of_the_field_at_once_whatever_the_tiles(monkeypatch, head_px, tiles_px):
    monkeypatch.setattr(classical, "WORK_HEAD_PX", 24)  # the second field is reduced
    monkeypatch.setattr(classical_levels, "SQUARE_PX", 150)
    pixels = _draw(head_px, is_turned=head_px == 31)
    expected = ClassicalFinder().find(pixels, head_length_px=head_px)
    assert len(expected.heads) == len(HEADS)
    assert {flag for head in expected.heads for flag in head.flags} == {"cut_by_border", "touching"}
    for tile_px in tiles_px:
        found = ClassicalFinder().find_in_tiles(ArrayPixels(pixels), head_length_px=head_px, tile_px=tile_px)
        _assert_same(found, expected)


def test_a_part_of_a_large_field_is_measured_and_heads_do_not_depend_on_the_tiles(monkeypatch):
    monkeypatch.setattr(classical_levels, "SQUARE_PX", 96)
    monkeypatch.setattr(tiles, "MAX_SQUARES", 4)
    image = _draw(24)
    pixels = ArrayPixels(image)
    assert len(tiles.spread_squares(pixels.shape, 96)) == 4
    found = [ClassicalFinder().find_in_tiles(pixels, head_length_px=24, tile_px=tile_px) for tile_px in (136, 256)]
    _assert_same(*found)
    whole = ClassicalFinder().find(image, head_length_px=24)
    assert len(found[0].heads) == len(whole.heads)
    for one, other in zip(found[0].heads, whole.heads, strict=True):
        np.testing.assert_allclose(one.box, other.box, atol=1)


def test_an_empty_field_has_no_heads():
    found = ClassicalFinder().find_in_tiles(ArrayPixels(np.full((90, 70, 3), 220, np.uint8)), head_length_px=45)
    assert found.heads == () and found.background == pytest.approx((220, 220, 220))


def test_what_cannot_be_done_in_tiles_is_refused():
    pixels = ArrayPixels(np.full((90, 70, 3), 220, np.uint8))
    with pytest.raises(ValueError, match=r"background must be local .* Received: background='median'"):
        ClassicalFinder(ClassicalOptions(background=MEDIAN)).find_in_tiles(pixels, head_length_px=45)
    with pytest.raises(ValueError, match="head_length_px must be above 0"):
        ClassicalFinder().find_in_tiles(pixels, head_length_px=0)
