"""TZI, SDI and MAI, worked by hand."""

import math

import pytest

from sperm_tf.morphometry.defect_indices import (
    DefectIndices,
    multiple_anomalies_index,
    sperm_deformity_index,
    summarize_defects,
    teratozoospermia_index,
)
from sperm_tf.morphometry.defects import Defects

NORMAL = Defects((), (), (), ())


def test_scalars():
    assert teratozoospermia_index(140, 102, 30, 44, num_abnormal=158) == pytest.approx(2.0)
    assert multiple_anomalies_index(316, num_abnormal=158) == pytest.approx(2.0)
    assert sperm_deformity_index(140, 102, 30, 44, num_sperm=200) == pytest.approx(1.58)


def test_a_slide_worked_by_hand():
    cells = [
        NORMAL,
        NORMAL,
        Defects(("small", "round"), (), (), ()),
        Defects(("tapered",), ("bent", "thick"), (), ("excess",)),
        Defects((), (), ("bent", "short"), ()),
        Defects(("round",), ("bent",), None, ()),  # the tail was not seen
    ]
    found = summarize_defects(cells)
    # Categories: head 2, midpiece 1, tail 1, cytoplasm 1. Defects: 2 + 4 + 2; of them 3 in heads.
    assert found == DefectIndices(5, 1, 3, 2, 1, 1, 1, tzi=5 / 3, mai=8 / 3, sdi=6 / 5)


def test_the_indices_stay_in_their_ranges():
    worst = Defects(("small", "round", "vacuolated"), ("bent", "thin"), ("short", "bent"), ("excess",))
    found = summarize_defects([worst] * 3)
    assert (found.tzi, found.mai, found.sdi) == (4, 8, 6)
    one = summarize_defects([Defects((), (), ("short",), ()), NORMAL])
    assert (one.tzi, one.mai, one.sdi) == (1, 1, 0.5)


def test_nothing_to_count():
    found = summarize_defects([NORMAL])
    assert math.isnan(found.tzi) and math.isnan(found.mai) and found.sdi == 0
    assert math.isnan(summarize_defects([]).sdi)
