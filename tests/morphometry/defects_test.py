import dataclasses
import math

import pytest

from sperm_tf.morphometry.cell import CellMeasures
from sperm_tf.morphometry.defects import DefectRules, Defects, find_defects
from sperm_tf.morphometry.flagellum import MidpieceMeasures, TailMeasures
from sperm_tf.morphometry.head import HeadMeasures

HEAD = HeadMeasures(4.1, 2.8, 9.02, 10.9, 1.46, 0.19, 0.95, 1.0, 0.5, 0.0, 0.0, 0.0)
MIDPIECE = MidpieceMeasures(4.0, 0.6, 5.0, 0.1, 0.0)
TAIL = TailMeasures(44.0, 0.4, 1.0, 60.0, 20.0)


def find(head=(), midpiece=(), tail=(), **options):
    parts = (dataclasses.replace(part, **dict(change)) for part, change in ((HEAD, head), (MIDPIECE, midpiece),
                                                                            (TAIL, tail)))  # fmt: skip
    return find_defects(CellMeasures(*parts), **options)


def test_a_normal_cell_has_no_defect():
    assert find() == Defects((), (), (), ())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"area_um2": 5.5}, "small"),
        ({"area_um2": 14.0}, "large"),
        ({"ellipticity": 2.0}, "tapered"),
        ({"ellipticity": 1.1}, "round"),
        ({"regularity": 1.18}, "irregular"),
        ({"acrosome_share": 0.0}, "no_acrosome"),
        ({"acrosome_share": 0.2}, "small_acrosome"),
        ({"acrosome_share": 0.8}, "large_acrosome"),
        ({"num_vacuoles": 3.0}, "vacuolated"),
        ({"vacuole_share": 0.25}, "vacuolated"),
        ({"num_postacrosomal_vacuoles": 1.0}, "postacrosomal_vacuole"),
    ],
)
def test_defects_of_the_head(changes, name):
    assert find(head=changes) == Defects((name,), (), (), ())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"angle_deg": 70.0}, "bent"),
        ({"offset_um": 1.0}, "asymmetrical"),
        ({"width_um": 1.2}, "thick"),
        ({"width_um": 0.2}, "thin"),
    ],
)
def test_defects_of_the_midpiece(changes, name):
    assert find(midpiece=changes) == Defects((), (name,), (), ())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"length_um": 10.0}, "short"),
        ({"bend_deg": 120.0}, "bent"),
        ({"turning_deg": 700.0, "bend_deg": 150.0}, "coiled"),
        ({"width_um": 2.0}, "coiled"),
        ({"length_um": 0.0, "width_um": math.nan, "turning_deg": math.nan, "bend_deg": math.nan}, "absent"),
    ],
)
def test_defects_of_the_tail(changes, name):
    assert find(tail=changes) == Defects((), (), (name,), ())


@pytest.mark.parametrize("length_um", [0.0, 10.0])
def test_a_tail_that_is_cut_is_neither_absent_nor_short(length_um):
    assert find(tail={"length_um": length_um}, is_tail_complete=False).tail == ()


def test_cytoplasm_from_a_third_of_the_head_on_is_excess():
    assert find(midpiece={"thick_area_um2": 2.9}).cytoplasm == ()
    assert find(midpiece={"thick_area_um2": 3.1}).cytoplasm == ("excess",)


def test_measures_at_the_margin_of_a_range_are_no_defect():
    assert find(head={"ellipticity": 1.85}).head == ()
    assert find(head={"ellipticity": 1.85}, rules=DefectRules(margin=0.0)).head == ("tapered",)


def test_what_is_missing_is_not_assessed_and_nan_finds_nothing():
    assert find_defects(CellMeasures()) == Defects(None, None, None, None)
    assert find_defects(CellMeasures(tail=TAIL)) == Defects(None, None, (), None)
    assert find_defects(CellMeasures(midpiece=MIDPIECE)) == Defects(None, None, None, None)
    unseen = dict.fromkeys(("acrosome_share", "num_vacuoles", "vacuole_share", "num_postacrosomal_vacuoles"), math.nan)
    assert find(head=unseen).head == ()
