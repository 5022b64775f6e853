import numpy as np
import pytest

from sperm_tf.fields.found import FoundHead
from sperm_tf.fields.outlines import trace_outline
from tests.fields.drawn_fields import ellipse


def area_of(outline):
    x, y = outline.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_the_outline_encloses_the_mask():
    mask = ellipse(60, 100, (50, 30), 90, 50, 0)
    outline = trace_outline(FoundHead(200, 300, 300, 360, mask, 90.0, 50.0))
    assert area_of(outline) == pytest.approx(mask.sum(), rel=0.02)
    rows, columns = np.nonzero(mask)
    np.testing.assert_allclose((outline.min(axis=0) + outline.max(axis=0)) / 2, (250.5, 330.5), atol=0.6)
    assert outline[:, 0].min() == pytest.approx(200 + columns.min(), abs=0.6)
    assert outline[:, 1].max() == pytest.approx(300 + rows.max() + 1, abs=0.6)


def test_the_first_pixel_reaches_from_0_to_1():
    outline = trace_outline(FoundHead(0, 0, 4, 4, np.ones((4, 4), bool), 4.0, 4.0))
    assert outline.min() == 0 and outline.max() == 4
