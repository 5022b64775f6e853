import numpy as np
import pytest

from sperm_tf.evaluation.fields.matching import box_iou, count_field, leave_out_border, match_boxes


def pixel_iou(first, second):
    masks = []
    for x0, y0, x1, y1 in (first, second):
        mask = np.zeros((50, 50), bool)
        mask[y0:y1, x0:x1] = True
        masks.append(mask)
    union = (masks[0] | masks[1]).sum()
    return (masks[0] & masks[1]).sum() / union if union else 0


def test_iou_is_that_of_the_pixels():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 50, (2, 12, 2, 2))
    first, second = (
        np.concatenate([np.minimum(c[:, 0], c[:, 1]), np.maximum(c[:, 0], c[:, 1])], axis=1) for c in corners
    )
    expected = [[pixel_iou(a, b) for b in second] for a in first]
    np.testing.assert_allclose(box_iou(first, second), expected)


def test_matching_is_one_to_one_and_the_best_in_all():
    annotated = np.array([[0, 0, 10, 10], [0, 0, 10, 14]])
    found = np.array([[0, 0, 10, 12], [0, 0, 10, 8]])
    assert match_boxes(annotated, found) == [(0, 1), (1, 0)]  # not the first with the first, at 0.83


def test_a_pair_needs_half_an_iou():
    assert match_boxes(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 20]])) == [(0, 0)]
    assert match_boxes(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 21]])) == []


@pytest.mark.parametrize(
    ("box", "kept"), (((3, 3, 97, 77), 1), ((2.9, 5, 50, 50), 0), ((5, 5, 97.1, 50), 0), ((5, 5, 50, 78), 0))
)
def test_what_lies_within_three_pixels_of_the_border_is_left_out(box, kept):
    assert len(leave_out_border(np.array([box]), 100, 80)) == kept


def test_counts_of_a_field():
    annotated = np.array([[10, 10, 30, 30], [50, 50, 70, 70], [0, 20, 10, 40]])
    found = np.array([[10, 10, 30, 28], [80, 10, 90, 20], [40, 40, 48, 48], [90, 70, 100, 80]])
    counts = count_field(annotated, found, width=100, height=80)
    assert (counts.annotated, counts.found, counts.matched) == (2, 3, 1)
    assert counts.iou_sum == pytest.approx(0.9)


def test_empty_sides():
    nothing = np.zeros((0, 4))
    assert match_boxes(nothing, nothing) == []
    assert count_field(nothing, np.array([[10, 10, 20, 20]]), width=100, height=80).found == 1
