import numpy as np
import pytest

from sperm_tf.fields.found import CUT_BY_BORDER, NO_TAIL_SEEN, TOUCHING
from sperm_tf.fields.grouping import GroupingOptions, group_cells
from sperm_tf.fields.parsed_cells import to_heads
from sperm_tf.fields.parsing import ACROSOME, MIDPIECE, NUCLEUS, TAIL
from sperm_tf.synthesis import field_layers
from sperm_tf.synthesis.field_renderer import render_field
from tests.fields.perfect_maps import SURE, perfect_maps


@pytest.fixture(scope="module")
def drawn():
    """A field with several whole cells, and the cells that are found in perfect maps of it."""
    field = render_field(21, height=384, width=384, pixel_size_um=0.1, seed=5)
    return field, group_cells(perfect_maps(field))


def iou(first, second):
    return np.count_nonzero(first & second) / max(np.count_nonzero(first | second), 1)


def in_field(head, name, shape):
    mask = np.zeros(shape, bool)
    part, (x0, y0) = getattr(head.parts, name), head.parts_origin
    mask[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
    return mask


def test_perfect_maps_give_the_drawn_cells_back(drawn):
    field, grouped = drawn
    heads = to_heads(grouped, field.parts.shape, 2.0)
    whole = [cell for cell in field.cells if not cell.is_cut]
    assert len(whole) >= 3
    for cell in whole:
        own = field.instances == cell.instance
        truth = {
            "head": own & np.isin(field.parts, field_layers.HEAD_PARTS),
            "acrosome": own & (field.parts == field_layers.ACROSOME),
            "midpiece": own & (field.parts == field_layers.MIDPIECE),
            "tail": own & (field.parts == field_layers.TAIL),
        }
        best = max(heads, key=lambda head: iou(in_field(head, "head", own.shape), truth["head"]))
        assert iou(in_field(best, "head", own.shape), truth["head"]) > 0.9
        for name in ("acrosome", "midpiece", "tail"):
            if np.count_nonzero(truth[name]) > 60:
                assert iou(in_field(best, name, own.shape), truth[name]) > 0.7, name
        assert best.score == pytest.approx(1.0, abs=1e-3)


def test_masks_at_the_fields_resolution_are_smooth_and_in_place(drawn):
    _field, grouped = drawn
    fine = render_field(21, height=768, width=768, pixel_size_um=0.05, seed=5)
    heads = to_heads(grouped, fine.parts.shape, 4.0)
    truth = np.isin(fine.parts, field_layers.HEAD_PARTS) & (fine.instances > 0)
    found = np.any([in_field(head, "head", truth.shape) for head in heads], axis=0)
    assert iou(found, truth) > 0.92


def test_a_stretch_of_tail_goes_to_one_cell():
    maps = blank()
    add(maps, NUCLEUS, slice(20, 40), slice(4, 16), (30, 10), is_center=True)
    add(maps, NUCLEUS, slice(44, 60), slice(4, 20), (52, 12), is_center=True)
    add(maps, TAIL, slice(29, 31), slice(16, 60), (30, 10))
    add(maps, TAIL, slice(29, 31), slice(30, 38), (52, 12))  # an error of the network
    one, other = to_heads(group_cells(maps), (64, 64), 1.0)
    assert one.parts.tail.sum() == 88
    assert not other.parts.tail.any()


def blank(side=64):
    maps = {
        "parts": np.zeros((side, side, 5), np.float32),
        "vacuoles": np.full((side, side, 1), -SURE, np.float32),
        "centers": np.full((side, side, 1), -SURE, np.float32),
        "offsets": np.zeros((side, side, 2), np.float32),
    }
    maps["parts"][..., 0] = SURE
    return maps


def add(maps, part, rows, columns, center, is_center=False):
    """A rectangle of a part whose pixels lead to the centre."""
    maps["parts"][rows, columns] = 0
    maps["parts"][rows, columns, part] = SURE
    places = np.stack(np.mgrid[rows, columns], axis=-1)
    maps["offsets"][rows, columns] = (np.array(center) - places) / 16
    if is_center:
        maps["centers"][center] = SURE


def test_touching_heads_are_two_cells_with_a_flag():
    maps = blank()
    add(maps, NUCLEUS, slice(20, 40), slice(10, 22), (30, 16), is_center=True)
    add(maps, ACROSOME, slice(20, 40), slice(22, 34), (30, 28), is_center=True)
    add(maps, TAIL, slice(40, 60), slice(15, 17), (30, 16))
    one, other = to_heads(group_cells(maps), (64, 64), 1.0)
    assert (one.box, other.box) == ((10, 20, 22, 40), (22, 20, 34, 40))
    assert one.flags == (TOUCHING,)
    assert other.flags == (TOUCHING, NO_TAIL_SEEN)
    assert one.parts.tail.sum() == 40
    assert not other.parts.tail.any()
    assert other.parts.acrosome.sum() == 240


def test_a_head_at_the_border_is_cut_and_its_tail_is_not_missed():
    maps = blank()
    add(maps, NUCLEUS, slice(0, 12), slice(10, 30), (4, 20), is_center=True)
    (head,) = to_heads(group_cells(maps), (64, 64), 1.0)
    assert head.flags == (CUT_BY_BORDER,)


def test_vacuoles_count_within_heads_alone():
    maps = blank()
    add(maps, NUCLEUS, slice(20, 40), slice(10, 22), (30, 16), is_center=True)
    maps["vacuoles"][25:29, 14:18] = maps["vacuoles"][50:54, 50:54] = SURE
    (head,) = to_heads(group_cells(maps), (64, 64), 1.0)
    assert head.parts.vacuoles.sum() == 16


def test_what_has_no_centre_or_no_head_is_no_cell():
    maps = blank()
    add(maps, NUCLEUS, slice(20, 40), slice(10, 22), (30, 16))  # debris: no peak
    add(maps, MIDPIECE, slice(20, 40), slice(40, 44), (30, 42), is_center=True)  # a peak, but no head
    assert group_cells(maps).cells.max() == 0
    assert to_heads(group_cells(maps), (64, 64), 1.0) == []


def test_small_heads_and_specks_are_dropped():
    maps = blank()
    add(maps, NUCLEUS, slice(30, 35), slice(10, 15), (32, 12), is_center=True)
    add(maps, NUCLEUS, slice(20, 40), slice(30, 42), (30, 36), is_center=True)
    add(maps, TAIL, slice(50, 52), slice(30, 32), (30, 36))
    grouped = group_cells(maps)
    assert grouped.cells.max() == 1
    assert np.count_nonzero(grouped.cells) == 240
    assert group_cells(maps, GroupingOptions(min_head=20)).cells.max() == 2
