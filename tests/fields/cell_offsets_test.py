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
    for row, column in places[50:54]:
        mask[row, column] = False
    ends = follow_offsets(trace_offsets(mask, places[0], step=8), mask)
    np.testing.assert_array_equal(ends, np.broadcast_to(places[0], ends.shape))


def test_the_centre_need_not_lie_on_a_pixel():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    offsets = trace_offsets(mask, (4.25, 3.75), step=16)
    places = np.argwhere(mask)
    np.testing.assert_allclose(places + offsets[mask], np.broadcast_to((4.25, 3.75), places.shape), atol=1e-6)


def test_a_way_does_not_turn_where_another_cell_crosses():
    upright, places = corridor([(2, 30), (38, 30)])
    level, others = corridor([(20, 2), (20, 58)])
    offsets = trace_offsets(level, others[0], step=8)
    below = upright & ~level  # the level cell lies on top where both cross
    offsets[below] = trace_offsets(upright, places[0], step=8)[below]
    is_part = upright | level
    ends = follow_offsets(offsets, is_part)
    of_upright = below[is_part]
    np.testing.assert_array_equal(ends[of_upright], np.broadcast_to(places[0], (of_upright.sum(), 2)))
    np.testing.assert_array_equal(ends[~of_upright], np.broadcast_to(others[0], ((~of_upright).sum(), 2)))


def test_an_empty_mask_has_no_offsets():
    empty = np.zeros((4, 6), bool)
    assert not trace_offsets(empty, (1, 1), step=4).any()
    assert follow_offsets(np.zeros((4, 6, 2)), empty).shape == (0, 2)


def test_a_step_must_be_a_power_of_two():
    with pytest.raises(ValueError, match=r"step must be a power of two. Received: step=12"):
        trace_offsets(np.ones((3, 3), bool), (1, 1), step=12)


def next_by_loops(points, own, reach=6, per_pixel=0.12, short=2.0):
    """For each point, the best of all points near its goal, one by one."""
    lengths = np.linalg.norm(own, axis=1)
    directions = own / np.maximum(lengths, 1e-6)[:, None]
    values = []
    for number, goal in enumerate(np.round(points + own)):
        away = points - goal
        agreement = np.where(lengths < short, 1, directions @ directions[number])
        value = agreement - per_pixel * np.hypot(*away.T)
        value[np.abs(away).max(axis=1) > reach] = -np.inf
        values.append(value)
    return np.array(values)


def test_a_way_goes_on_from_the_best_point_nearby():
    rng = np.random.default_rng(0)
    is_part = rng.random((30, 40)) < 0.4
    offsets = (rng.normal(size=(30, 40, 2)) * 4).astype(np.float32)
    points = np.argwhere(is_part)
    goals = points + offsets[is_part]
    inside = ((goals >= 0) & (goals <= np.array([29, 39]))).all(axis=1)
    values = next_by_loops(points, offsets[is_part])
    best = values.argmax(axis=1)
    expected = (points + offsets[is_part])[best]
    found = follow_offsets(offsets, is_part, rounds=0)
    second, first = np.sort(values, axis=1)[:, -2:].T
    is_clear = inside & (first > second + 1e-5)
    assert is_clear.sum() > 300
    np.testing.assert_allclose(found[is_clear], expected[is_clear], atol=1e-4)
