import numpy as np
import pytest

from sperm_tf.fields.cell_offsets import follow_offsets, trace_offsets


def corridor(turns):
    """A way one pixel wide from the centre through corners: bool mask and its pixels in order."""
    places = [turns[0]]
    for corner in turns[1:]:
        while places[-1] != corner:
            places.append(tuple(int(at + np.sign(to - at)) for at, to in zip(places[-1], corner, strict=True)))
    mask = np.zeros((40, 60), bool)
    mask[tuple(np.array(places).T)] = True
    return mask, places


def test_an_offset_leads_as_many_pixels_along_the_way_or_to_the_centre():
    mask, places = corridor([(5, 5), (5, 40), (30, 40), (30, 50)])
    offsets = trace_offsets(mask, places[0], step=8)
    # The shortest way cuts the corners diagonally, one pixel each, so it is measured between them.
    for index in (0, 3, 8, 20, 33, 50, 55):
        row, column = places[index]
        assert tuple(np.array(places[index]) + offsets[row, column]) == places[max(0, index - 8)]
    assert not offsets[~mask].any()


def test_a_way_leads_over_a_gap_and_not_across_the_slide():
    mask, places = corridor([(5, 5), (5, 40), (25, 40), (25, 6)])
    hidden = places[50:54]
    for row, column in hidden:
        mask[row, column] = False
    ends = follow_offsets(np.array(places[60:]), trace_offsets(mask, places[0], step=8), mask, rounds=20)
    np.testing.assert_array_equal(ends, np.broadcast_to(places[0], ends.shape))


def test_the_centre_need_not_lie_on_a_pixel():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    offsets = trace_offsets(mask, (4.25, 3.75), step=16)
    places = np.argwhere(mask)
    np.testing.assert_allclose(places + offsets[mask], np.broadcast_to((4.25, 3.75), places.shape), atol=1e-6)


def test_points_beside_all_parts_stay_where_they_are():
    mask = np.zeros((20, 20), bool)
    mask[4:7, 4:7] = True
    ends = follow_offsets(np.array([[18, 18], [8, 5]]), trace_offsets(mask, (5, 5), step=4), mask, rounds=3)
    np.testing.assert_array_equal(ends, [[18, 18], [5, 5]])


def test_an_empty_mask_has_no_offsets():
    empty = np.zeros((4, 6), bool)
    assert not trace_offsets(empty, (1, 1), step=4).any()
    np.testing.assert_array_equal(follow_offsets(np.array([[1, 2]]), np.zeros((4, 6, 2)), empty, rounds=2), [[1, 2]])


def test_a_step_must_be_a_power_of_two():
    with pytest.raises(ValueError, match=r"step must be a power of two. Received: step=12"):
        trace_offsets(np.ones((3, 3), bool), (1, 1), step=12)
