import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from sperm_tf.evaluation.fields.matching import box_iou, match_boxes
from sperm_tf.fields.classical import ClassicalFinder
from sperm_tf.fields.found import CUT_BY_BORDER, TOUCHING, boxes_of
from tests.fields import drawn_fields
from tests.fields.drawn_fields import HEAD_PX, box_of, draw_field

HEADS = ((200, 200, 0.3), (600, 250, 1.2), (900, 700, 2.5), (300, 800, -0.7), (1100, 300, 0.0))


def find(pixels, head_length_px=HEAD_PX):
    return ClassicalFinder().find(pixels, head_length_px=head_length_px)


def check_found(found, masks, min_iou=0.8):
    boxes = [box_of(mask) for mask in masks]
    assert len(found.heads) == len(boxes)
    assert len(match_boxes(np.array(boxes), boxes_of(found.heads), min_iou=min_iou)) == len(boxes)


def test_heads_are_found_where_they_are_drawn_without_their_tails():
    pixels, masks = draw_field(HEADS)
    found = find(pixels)
    check_found(found, masks)
    for head in found.heads:
        drawn = max(masks, key=lambda mask: mask[head.head_y0 : head.head_y1, head.head_x0 : head.head_x1].sum())
        mask = np.zeros(drawn.shape, bool)
        mask[head.head_y0 : head.head_y1, head.head_x0 : head.head_x1] = head.mask
        assert (mask & drawn).sum() / (mask | drawn).sum() > 0.85
        assert head.length_px == pytest.approx(HEAD_PX, rel=0.1) and head.width_px == pytest.approx(54, rel=0.1)
        assert head.flags == ()
    assert found.background == pytest.approx((225, 228, 235), abs=2)


@pytest.mark.parametrize("factor", (0.3, 0.6, 1.7))
def test_heads_are_found_at_every_magnification(factor):
    pixels, masks = draw_field(HEADS)
    size = round(1280 * factor), round(1024 * factor)
    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    found = find(resized, HEAD_PX * factor)
    boxes = factor * np.array([box_of(mask) for mask in masks], float)
    assert len(match_boxes(boxes, boxes_of(found.heads), min_iou=0.75)) == len(found.heads) == len(boxes)


def test_uneven_light_changes_nothing():
    pixels, masks = draw_field(HEADS, shade=0.35)
    check_found(find(pixels), masks)


def test_drops_and_round_cells_are_no_heads():
    pixels, masks = draw_field(HEADS, blue=((700, 500, 55), (500, 600, 60)), round_cells=((1000, 900, 160),))
    check_found(find(pixels), masks)


def test_heads_that_touch_are_parted_and_say_so():
    pixels, masks = draw_field(((400, 400, 0.0), (400, 452, 0.15), (900, 300, 1.0)))
    found = find(pixels)
    check_found(found, masks, min_iou=0.7)
    assert sorted(TOUCHING in head.flags for head in found.heads) == [False, True, True]


def test_a_head_at_the_border_says_that_it_is_cut():
    pixels, masks = draw_field(((15, 400, 1.5), (600, 400, 0.5)))
    found = find(pixels)
    check_found(found, masks, min_iou=0.7)
    assert [head.flags for head in sorted(found.heads, key=lambda head: head.head_x0)] == [(CUT_BY_BORDER,), ()]


@pytest.mark.parametrize(
    "pixels",
    (
        np.zeros((300, 400, 3), np.uint8),
        np.full((300, 400, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8),
        np.full((20, 20, 3), 200, np.uint8),
    ),
)
def test_nothing_is_found_where_nothing_is(pixels):
    assert find(pixels).heads == ()


def test_wrong_pixels_and_lengths_are_refused():
    with pytest.raises(ValueError, match=r"pixels must be \[H, W, 3\]\. Received: shape=\[4, 4\]"):
        find(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"head_length_px must be above 0\. Received: head_length_px=0"):
        find(np.zeros((4, 4, 3), np.uint8), 0)


def test_boxes_lie_inside_the_field():
    pixels, _ = draw_field(((5, 5, 0.0), (1275, 1020, 1.0)))
    boxes = boxes_of(find(pixels).heads)
    assert (boxes >= 0).all() and (boxes[:, 2] <= 1280).all() and (boxes[:, 3] <= 1024).all()
    assert box_iou(boxes, boxes).max() == 1


@pytest.mark.parametrize("blur", (1.5, 3.0))
def test_dark_nucleus_and_pale_acrosome_have_their_outline_at_half_height(blur, monkeypatch):
    acrosome = (165, 110, 205)  # half as dark as the nucleus, as on real slides
    monkeypatch.setattr(drawn_fields, "ACROSOME", acrosome)
    pixels, masks = draw_field(HEADS)
    found = find(ndimage.gaussian_filter(pixels, (blur, blur, 0)))
    check_found(found, masks, min_iou=0.9)
    for head in found.heads:
        assert head.length_px == pytest.approx(HEAD_PX, rel=0.03)
        assert head.width_px == pytest.approx(0.6 * HEAD_PX, rel=0.04)
