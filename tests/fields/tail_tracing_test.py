import numpy as np
import pytest

from sperm_tf.fields.tail_tracing import trace_tails

SHAPE = 60, 80


def stroke(start, end):
    """bool [60, 80]: a line two pixels wide."""
    count = int(np.abs(np.subtract(end, start)).max()) * 4 + 1
    mask = np.zeros(SHAPE, bool)
    for row, column in np.linspace(start, end, count):
        mask[int(row) : int(row) + 2, int(column) : int(column) + 2] = True
    return mask


def field(*tails):
    """Cells whose midpieces are the first stroke of each and whose tails are the second; offsets say nothing."""
    cells, is_midpiece, is_tail = np.zeros(SHAPE, int), np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    for number, (midpiece, tail) in enumerate(tails, start=1):
        is_tail |= tail
        is_midpiece |= midpiece
        cells[midpiece] = number
    return cells, is_tail & ~is_midpiece, is_midpiece


LEVEL = stroke((30, 2), (30, 9)), stroke((30, 10), (30, 70))
STEEP = stroke((2, 20), (7, 22)), stroke((8, 23), (55, 54))


def test_tails_that_cross_go_straight_on():
    traced = trace_tails(*field(LEVEL, STEEP))
    for number, (_, tail) in enumerate((LEVEL, STEEP), start=1):
        own = tail & ~(LEVEL[1] & STEEP[1])
        assert np.mean(traced[own] == number) > 0.9


def test_a_tail_goes_on_behind_a_gap():
    cells, is_tail, is_midpiece = field(LEVEL)
    is_tail[:, 40:46] = False
    traced = trace_tails(cells, is_tail, is_midpiece)
    assert (traced[is_tail] == 1).all()


def test_a_tail_beyond_reach_keeps_the_cell_of_most_of_its_offsets():
    cells, is_tail, is_midpiece = field(LEVEL)
    lonely = stroke((50, 40), (50, 70))
    cells[lonely & (np.arange(SHAPE[1]) < 60)] = 7
    cells[lonely & (np.arange(SHAPE[1]) >= 60)] = 1
    traced = trace_tails(cells, is_tail | lonely, is_midpiece)
    assert (traced[lonely] == 7).all()


def test_a_chain_between_two_midpieces_is_parted_by_the_offsets():
    joined = stroke((30, 12), (30, 60))
    cells, is_tail, is_midpiece = field(
        (LEVEL[0] | stroke((30, 2), (30, 11)), joined), (stroke((30, 62), (30, 70)), joined)
    )
    is_tail[:, 36:39] = False
    cells[is_tail & (np.arange(SHAPE[1]) < 36)] = 1
    cells[is_tail & (np.arange(SHAPE[1]) > 36)] = 2
    traced = trace_tails(cells, is_tail, is_midpiece)
    np.testing.assert_array_equal(traced[is_tail], cells[is_tail])


@pytest.mark.parametrize("is_tail", [np.zeros(SHAPE, bool), stroke((5, 5), (5, 6))], ids=["none", "a speck"])
def test_nothing_to_trace(is_tail):
    cells = np.zeros(SHAPE, int)
    assert (trace_tails(cells, is_tail, np.zeros(SHAPE, bool)) == 0).all()
