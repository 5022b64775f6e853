"""The classes' definitions, measured on drawn masks with scikit-image."""

import functools

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from sperm_tf.synthesis.canvas import Canvas, PlacedContour
from sperm_tf.synthesis.cell import acrosome_weight
from sperm_tf.synthesis.contour import HeadContour, HeadShape
from sperm_tf.synthesis.morphology import ABNORMAL_KINDS, CLASS_NAMES, draw_kind, draw_sperm
from sperm_tf.synthesis.renderer import render

_COUNT = 40


@functools.cache
def _measured(label_name: str) -> dict[str, np.ndarray]:
    label = CLASS_NAMES["head_shape"].index(label_name)
    rows = []
    for index in range(label, 4 * _COUNT, 4):
        sample = render(index, size=262)
        (region,) = measure.regionprops(sample.head_mask.astype(np.uint8))
        rows.append(
            {
                "ratio": region.axis_major_length / region.axis_minor_length,
                "end_ratio": _end_ratio(sample.head_mask, region),
                "misfit": _ellipse_misfit(sample.head_mask, region),
                "length_um": region.axis_major_length * sample.parameters["pixel_size_um"],
                "width_um": region.axis_minor_length * sample.parameters["pixel_size_um"],
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _along_and_across(shape, region):
    rows, columns = np.indices(shape)
    down, right = rows - region.centroid[0], columns - region.centroid[1]
    cosine, sine = np.cos(region.orientation), np.sin(region.orientation)
    return down * cosine + right * sine, right * cosine - down * sine


def _end_ratio(mask, region):
    """Width of the narrower end over that of the wider one, an eighth of the length from either end."""
    along, _ = _along_and_across(mask.shape, region)
    bins = np.floor((along[mask] - along[mask].min()) / np.ptp(along[mask]) * 7.999).astype(int)
    areas = np.bincount(bins, minlength=8)
    return min(areas[0], areas[-1]) / max(areas[0], areas[-1])


def _ellipse_misfit(mask, region):
    """Share of the area by which the head differs from the ellipse of equal moments."""
    along, across = _along_and_across(mask.shape, region)
    ellipse = (2 * along / region.axis_major_length) ** 2 + (2 * across / region.axis_minor_length) ** 2 < 1
    return np.count_nonzero(ellipse != mask) / mask.sum()


@pytest.mark.slow
def test_normal_heads_have_the_dimensions_of_the_who_manual():
    normal = _measured("normal")
    assert np.all((normal["length_um"] > 3.6) & (normal["length_um"] < 4.8))
    assert np.all((normal["width_um"] > 2.4) & (normal["width_um"] < 3.3))
    assert np.all((normal["ratio"] > 1.25) & (normal["ratio"] < 1.85))
    assert np.median(normal["width_um"]) == pytest.approx(2.8, abs=0.1)
    assert np.median(normal["length_um"]) == pytest.approx(4.1, abs=0.15)


@pytest.mark.slow
def test_tapered_heads_are_longer_for_their_width_than_normal_ones():
    tapered, normal = _measured("tapered"), _measured("normal")
    assert np.percentile(tapered["ratio"], 10) > np.percentile(normal["ratio"], 90)
    assert np.median(tapered["width_um"]) < normal["width_um"].min()


@pytest.mark.slow
def test_pyriform_heads_have_one_narrow_end():
    pyriform, normal = _measured("pyriform"), _measured("normal")
    assert np.percentile(pyriform["end_ratio"], 90) < np.percentile(normal["end_ratio"], 10)
    assert np.median(pyriform["end_ratio"]) < 0.5


@pytest.mark.slow
def test_amorphous_heads_are_irregular():
    amorphous, normal = _measured("amorphous"), _measured("normal")
    assert np.median(amorphous["misfit"]) > 2 * np.median(normal["misfit"])
    assert np.percentile(amorphous["misfit"], 10) > np.percentile(normal["misfit"], 60)


@pytest.mark.parametrize("kind", ["normal", *ABNORMAL_KINDS])
def test_outlines_are_closed_simple_curves(kind):
    rng = np.random.default_rng(3)
    for _ in range(50):
        contour = HeadContour(draw_sperm(kind, rng).head)
        assert contour.radii_um.min() > 0.3
        # No step between neighbouring vertices: a radius that is a function of the angle, as the mask assumes.
        jumps = np.abs(np.diff(contour.radii_um, append=contour.radii_um[0]))
        assert jumps.max() < 0.2


def test_an_ellipse_has_its_area_and_distance():
    contour = HeadContour(HeadShape(4.0, 3.0))
    assert contour.area_um2 == pytest.approx(np.pi * 2.0 * 1.5, rel=1e-3)
    assert np.ptp(contour.points_um, axis=0) == pytest.approx([4.0, 3.0], rel=1e-3)
    np.testing.assert_allclose(contour.base_um, [-2.0, 0.0], atol=1e-3)
    x = np.array([2.1, 1.9, 0.0, 0.0, -2.1])
    y = np.array([0.0, 0.0, 1.6, -1.4, 0.0])
    np.testing.assert_allclose(contour.distance_um(x, y), [0.1, -0.1, 0.1, -0.1, 0.1], atol=5e-3)


def test_the_distance_is_that_of_a_distance_transform():
    contour = HeadContour(draw_sperm("pyriform", np.random.default_rng(0)).head)
    grid = (np.arange(800) - 400) * 0.01
    distance = contour.distance_um(grid[None, :], grid[:, None])
    inside = distance < 0
    reference = 0.01 * (ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside))
    near = np.abs(reference) < 0.15
    assert np.abs(distance - reference)[near].mean() < 0.01


@pytest.mark.parametrize("share", [0.42, 0.68])
def test_the_acrosome_covers_its_share_at_the_tip(share):
    placed = PlacedContour(Canvas(400, 400, 0.02), HeadContour(HeadShape(4.2, 2.8, taper=0.1)), np.zeros(2), 0.7)
    weight = acrosome_weight(placed, share, softness_um=0.5, curvature=-0.1)
    cap = (weight > 0.5) & placed.inside
    assert cap.sum() / placed.inside.sum() == pytest.approx(share, abs=0.005)
    assert placed.along_um[cap].mean() > placed.along_um[placed.inside & ~cap].mean()


def test_normal_sperm_meets_the_definition():
    rng = np.random.default_rng(5)
    for _ in range(300):
        normal = draw_sperm("normal", rng)
        assert 3.7 <= normal.head.length_um <= 4.7
        assert 2.5 <= normal.head.width_um <= 3.2
        assert 0.4 <= normal.acrosome_share <= 0.7
        assert normal.midpiece_width_um < 1
        assert len(normal.vacuoles) <= 2
        assert normal.tail == "free"
        assert not normal.second_head
        # Residual cytoplasm: less than a third of the head.
        assert np.pi * normal.droplet_um**2 < HeadContour(normal.head).area_um2 / 3


def test_abnormal_has_every_defect():
    rng = np.random.default_rng(0)
    assert {draw_kind("abnormal", rng) for _ in range(1500)} == set(ABNORMAL_KINDS)
    assert draw_kind("pyriform", rng) == "pyriform"


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match=r"kind must be 'normal' or one of tapered.*Received: kind='abnormal'"):
        draw_sperm("abnormal", np.random.default_rng(0))
