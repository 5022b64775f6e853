"""Cores cover a field once; squares are all of it, or spread over it."""

import numpy as np
import pytest

from sperm_tf.fields.tiles import Box, list_cores, spread_squares


def _counts(boxes, shape):
    counts = np.zeros(shape, int)
    for box in boxes:
        counts[box.y0 : box.y1, box.x0 : box.x1] += 1
    return counts


@pytest.mark.parametrize("shape", [(100, 130), (64, 64), (5, 7), (65, 640)])
def test_cores_cover_every_pixel_once_and_every_centre_has_one_owner(shape):
    cores = list_cores(shape, 64)
    assert (_counts(cores, shape) == 1).all()
    for box in ((0, 0, 1, 1), (60, 10, 69, 20), (63, 63, 65, 65), (shape[0] - 1, shape[1] - 1, *shape)):
        if box[2] <= shape[0] and box[3] <= shape[1]:
            assert sum(core.owns(*box) for core in cores) == 1


def test_a_tile_lies_in_what_is_seen_around_it():
    field = np.arange(100 * 130).reshape(100, 130)
    core = list_cores((100, 130), 64)[1]
    seen = core.grow(16, (100, 130))
    assert seen == Box(0, 48, 80, 130)
    assert (field[seen.y0 : seen.y1, seen.x0 : seen.x1][core.inside(seen)] == field[:64, 64:128]).all()


def test_a_core_begins_on_the_grid():
    with pytest.raises(ValueError, match=r"tile_px must be a multiple of 8\. Received: tile_px=100"):
        list_cores((100, 130), 100)


@pytest.mark.parametrize(("shape", "number"), [((100, 130), 6), ((3000, 100), 24), ((3000, 3000), 25), ((9, 5), 1)])
def test_squares_are_at_most_25_and_lie_apart(shape, number):
    squares = spread_squares(shape, 48)
    counts = _counts(squares, shape)
    assert len(squares) == number and counts.max() == 1
    assert all(square.y0 % 8 == square.x0 % 8 == 0 for square in squares)
    assert counts[:5, :5].all() and counts[-5:, -5:].all()  # from corner to corner
    if number < 24:
        assert counts.all()
