"""Heads of known shape. Tolerances are stated in docs/morphometry.md."""

import math

import numpy as np
import pytest
from skimage import draw

from sperm_tf.morphometry.head import measure_head
from sperm_tf.morphometry.shape_factors import ellipticity, elongation, regularity, rugosity
from tests.morphometry.drawn_masks import ellipse_mask, ellipse_perimeter

PIXEL_UM = 0.05


def measure(head, acrosome=None, vacuoles=None, pixel_size_um=PIXEL_UM):
    return measure_head(head, acrosome, vacuoles, pixel_size_um=pixel_size_um)


@pytest.mark.parametrize(("length_um", "width_um"), [(4.1, 2.8), (4.7, 2.5), (5.2, 2.1)])
@pytest.mark.parametrize(("pixel_size_um", "tolerance"), [(0.05, 0.012), (0.1, 0.025)])
def test_turned_ellipses_have_their_analytic_measures(length_um, width_um, pixel_size_um, tolerance):
    rng = np.random.default_rng(0)
    length, width = length_um / pixel_size_um, width_um / pixel_size_um
    errors = []
    for angle in np.linspace(0, np.pi, 13):
        found = measure(ellipse_mask(length, width, angle, shift=rng.uniform(0, 1, 2)), pixel_size_um=pixel_size_um)
        area, perimeter = math.pi / 4 * length_um * width_um, ellipse_perimeter(length_um, width_um)
        values = (found.length_um, found.width_um, found.area_um2, found.perimeter_um)
        errors.append([value / truth - 1 for value, truth in zip(values, (length_um, width_um, area, perimeter))])  # noqa: B905
        assert found.rugosity == pytest.approx(4 * math.pi * area / perimeter**2, rel=2 * tolerance)
        assert found.regularity == pytest.approx(1, abs=1.5 * tolerance)
    assert np.abs(errors).max() < tolerance
    assert np.abs(np.mean(errors, axis=0)).max() < tolerance / 2  # no bias of one sign: a pixel here would be 1.2 %


def test_a_turned_rectangle_has_the_extents_of_its_sides():
    for angle in (0, 0.3, 0.9):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = np.array([[-41, -20], [41, -20], [41, 20], [-41, 20]]) @ turn.T + 60.3
        found = measure(draw.polygon2mask((120, 120), corners), pixel_size_um=1.0)
        # The smoothing of one pixel rounds the corners, which only the extents of a shape with corners show.
        assert found.length_um == pytest.approx(82, abs=1.5)
        assert found.width_um == pytest.approx(40, abs=1.5)
        assert found.regularity == pytest.approx(math.pi / 4, abs=0.03)


def test_shape_factors():
    assert ellipticity(4.2, 2.8) == pytest.approx(1.5)
    assert elongation(4.2, 2.8) == pytest.approx(0.2)
    assert rugosity(math.pi, 2 * math.pi) == pytest.approx(1)
    assert rugosity(1, 4) == pytest.approx(math.pi / 4)
    assert regularity(4, 3, 3 * math.pi) == pytest.approx(1)
    assert regularity(1, 1, 1) == pytest.approx(math.pi / 4)


def test_shares_of_acrosome_and_vacuoles_count_within_the_head():
    head = ellipse_mask(82, 56, 0.0)
    columns = np.broadcast_to(np.arange(head.shape[1]), head.shape)
    acrosome = columns >= head.shape[1] / 2  # half of the head, and much beside it
    vacuoles = np.zeros_like(head)
    for row, column in ((45, 60), (40, 25), (50, 25)):
        vacuoles[draw.disk((row, column), 4, shape=head.shape)] = True
    vacuoles[2:4, 2:30] = True  # outside of the head
    found = measure(head, acrosome, vacuoles)
    assert found.acrosome_share == pytest.approx(0.5, abs=0.02)
    assert found.num_vacuoles == 3
    assert found.num_postacrosomal_vacuoles == 2
    inside = vacuoles & head
    assert found.vacuole_share == inside.sum() / head.sum()


def test_what_was_not_looked_for_is_nan_and_what_was_not_found_is_zero():
    head = ellipse_mask(82, 56, 0.4)
    nothing = np.zeros_like(head)
    unseen, unfound = measure(head), measure(head, nothing, nothing)
    for name in ("acrosome_share", "num_vacuoles", "vacuole_share", "num_postacrosomal_vacuoles"):
        assert math.isnan(getattr(unseen, name))
        assert getattr(unfound, name) == 0
    assert math.isnan(measure(head, None, nothing).num_postacrosomal_vacuoles)
    assert measure(nothing) is None


def test_specks_and_holes_change_nothing():
    head = ellipse_mask(82, 56, 0.4)
    dirty = head.copy()
    dirty[:2, :2] = True
    dirty[44:46, 44:46] = False
    assert measure(dirty) == measure(head)
    vacuoles = np.zeros_like(head)
    vacuoles[45, 40:43] = True  # 0.0075 um2, below what a microscope resolves
    assert measure(head, None, vacuoles).num_vacuoles == 0
