"""A drawn cell: head, midpiece, tail; and what is refused."""

import math

import numpy as np
import pytest

from sperm_tf.morphometry.cell import MEASURE_NAMES, measure_cell
from sperm_tf.morphometry.masks import CellMasks
from sperm_tf.morphometry.reference_ranges import REFERENCE_RANGES

PIXEL_UM = 0.05


def drawn_cell(neck_deg=0.0, tail_um=30.0, midpiece_um=(4.0, 0.6), offset_um=0.0, turned=False):
    """Masks of a cell whose head, 4.1 x 2.8 um, points left; the midpiece leaves at its right end."""
    height, width = 700, 900
    rows, columns = np.mgrid[:height, :width]
    x, y = (columns - 100.3) * PIXEL_UM, (rows - 350.2) * PIXEL_UM
    head = (x / 2.05) ** 2 + (y / 1.4) ** 2 < 1
    neck = math.radians(neck_deg)
    along = (x - 2.05) * math.cos(neck) + (y - offset_um) * math.sin(neck)
    across = (y - offset_um) * math.cos(neck) - (x - 2.05) * math.sin(neck)
    length, thick = midpiece_um
    midpiece = (along > 0) & (along < length) & (abs(across) < thick / 2) & ~head
    tail = (along > length) & (along < length + tail_um) & (abs(across) < 0.2)
    parts = {"head": head, "acrosome": head & (x < 0), "vacuoles": np.zeros_like(head)}
    parts |= {"midpiece": midpiece, "tail": tail}
    return CellMasks(**{name: np.ascontiguousarray(mask.T) if turned else mask for name, mask in parts.items()})


@pytest.mark.parametrize("turned", [False, True])
def test_a_drawn_cell_has_its_measures(turned):
    row = measure_cell(drawn_cell(turned=turned), pixel_size_um=PIXEL_UM).to_row()
    assert tuple(row) == MEASURE_NAMES
    expected = {
        "head_length_um": (4.1, 0.04),
        "head_width_um": (2.8, 0.04),
        "head_acrosome_share": (0.5, 0.02),
        "head_num_vacuoles": (0, 0),
        "midpiece_length_um": (4.0, 0.06),
        "midpiece_width_um": (0.6, 0.03),
        "midpiece_angle_deg": (0, 1),
        "midpiece_offset_um": (0, 0.06),
        "midpiece_thick_area_um2": (0, 0),
        "tail_length_um": (30, 0.1),
        "tail_width_um": (0.4, 0.03),
        "tail_num_pieces": (1, 0),
        "tail_turning_deg": (0, 5),
        "tail_bend_deg": (0, 5),
    }
    for name, (value, tolerance) in expected.items():
        assert row[name] == pytest.approx(value, abs=tolerance), name


@pytest.mark.parametrize("degrees", [20, 45, -60, 85])
def test_the_neck_has_its_angle(degrees):
    found = measure_cell(drawn_cell(neck_deg=degrees), pixel_size_um=PIXEL_UM).midpiece
    assert found.angle_deg == pytest.approx(abs(degrees), abs=4)


def test_an_insertion_beside_the_axis_has_its_distance():
    found = measure_cell(drawn_cell(offset_um=0.8), pixel_size_um=PIXEL_UM).midpiece
    assert found.offset_um == pytest.approx(0.8, abs=0.1)
    assert found.angle_deg == pytest.approx(0, abs=3)


def test_cytoplasm_at_the_midpiece_is_its_thick_area():
    masks = drawn_cell()
    rows, columns = np.mgrid[: masks.head.shape[0], : masks.head.shape[1]]
    droplet = np.hypot(rows - 350, columns - 165) * PIXEL_UM < 1.2
    found = measure_cell(CellMasks(head=masks.head, midpiece=masks.midpiece | droplet), pixel_size_um=PIXEL_UM)
    assert found.midpiece.thick_area_um2 == pytest.approx(math.pi * 1.2**2, rel=0.05)


def test_the_pixel_size_scales_lengths_and_areas_only():
    masks = drawn_cell(neck_deg=20)
    once, twice = (measure_cell(masks, pixel_size_um=size).to_row() for size in (0.05, 0.1))
    for name in ("head_length_um", "head_perimeter_um", "midpiece_length_um", "midpiece_offset_um", "tail_length_um"):
        assert twice[name] == pytest.approx(2 * once[name])
    assert twice["head_area_um2"] == pytest.approx(4 * once["head_area_um2"])
    for name in ("head_ellipticity", "head_acrosome_share", "midpiece_angle_deg"):
        assert twice[name] == pytest.approx(once[name])


def test_missing_parts_are_nan_and_a_tail_not_found_is_zero():
    masks = drawn_cell()
    row = measure_cell(CellMasks(head=masks.head), pixel_size_um=PIXEL_UM).to_row()
    assert {name for name, value in row.items() if not math.isnan(value)} == {
        f"head_{name}"
        for name in ("length_um", "width_um", "area_um2", "perimeter_um", "ellipticity", "elongation", "rugosity",
                     "regularity")
    }  # fmt: skip
    nothing = np.zeros_like(masks.head)
    found = measure_cell(CellMasks(head=nothing, midpiece=nothing, tail=nothing), pixel_size_um=PIXEL_UM)
    assert found.head is None and found.midpiece is None and found.tail.length_um == 0
    alone = measure_cell(CellMasks(midpiece=masks.midpiece), pixel_size_um=PIXEL_UM).midpiece
    assert math.isnan(alone.angle_deg) and alone.length_um == pytest.approx(4.0, abs=0.06)


def test_ranges_belong_to_measures_and_cite_their_source():
    assert set(REFERENCE_RANGES) <= set(MEASURE_NAMES)
    for reference in REFERENCE_RANGES.values():
        assert "2.15.1" in reference.source and reference.low <= reference.high
        assert reference.typical is None or reference.low <= reference.typical <= reference.high
    length = REFERENCE_RANGES["head_length_um"]
    assert [length.contains(value) for value in (3.6, 3.7, 4.7, 4.8)] == [False, True, True, False]
    assert length.contains(math.nan) is None
    assert REFERENCE_RANGES["tail_length_um"].contains(12.0) is None


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"head": np.zeros((4, 4), np.uint8)}, r"head must be a bool array .* Received: head=uint8 \[4, 4\]"),
        ({"tail": [[True]]}, "tail must be a bool array"),
        ({"head": np.zeros((4, 4), bool), "tail": np.zeros((4, 5), bool)}, r"one shape. Received: head=\[4, 4\], tail"),
    ],
)
def test_wrong_masks_are_named(masks, message):
    with pytest.raises(ValueError, match=message):
        CellMasks(**masks)


@pytest.mark.parametrize("size", [0, -0.1, math.nan, math.inf])
def test_wrong_pixel_sizes_are_named(size):
    with pytest.raises(ValueError, match="pixel_size_um must be a positive number"):
        measure_cell(CellMasks(), pixel_size_um=size)
