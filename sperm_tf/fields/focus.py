"""Which heads lie out of focus: how wide their outline is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sperm_tf.fields.found import FoundHead
from sperm_tf.fields.pixels import FieldPixels

MAX_EDGE_WIDTH = 0.15
"""Width of the outline, in lengths of a median head, above which a head is out of focus. Chosen by eye on the sessions
of SpermParsing with even numbers; docs/fields.md says how many heads are above it."""
SHARPEST = 10
"""Percentile of the widths that stands for the sharpest heads of a run."""
_BLURRED = 1.4  # times the width of the sharpest: what the limit is to that of SpermParsing
_MOST = 0.45  # what no limit exceeds: the outlines of both sides of a head would meet
_MIN_HEADS = 20  # of a run, for its sharpest ones to say what its microscope shows
_SMOOTHING = 0.023  # of the Gaussian against noise, as the classical finder's, in lengths of a head like all below
_MARGIN = 0.4
_RING = (0.2, 0.35)  # around the head: the slide beside it
_BAND = 0.12  # to both sides of the mask's edge: where the outline is
_STEEPEST, _DARK = 90, 90  # percentiles of the slope in the band, and of the stain in the head


def measure_edge_width(pixels: FieldPixels, head: FoundHead, *, head_length_px: float) -> float:
    """Width of a head's outline: its contrast to the slide beside it over the steepest slope of the stain there.

    The distance from slide to stain that a straight ramp of this slope takes. It does not depend on the contrast.

    Args:
        pixels: of the field.
        head: of this field.
        head_length_px: median length of a head, in pixels of the field.

    Returns:
        In lengths of a median head; infinite where there is no slope.
    """
    from scipy import ndimage

    margin = max(2, round(_MARGIN * head_length_px))
    top, left = max(0, head.head_y0 - margin), max(0, head.head_x0 - margin)
    bottom, right = min(pixels.shape[0], head.head_y1 + margin), min(pixels.shape[1], head.head_x1 + margin)
    window = pixels.read_region(top, left, bottom - top, right - left).astype(np.float32)
    mask = np.zeros(window.shape[:2], bool)
    mask[head.head_y0 - top : head.head_y1 - top, head.head_x0 - left : head.head_x1 - left] = head.mask
    outside, inside = ndimage.distance_transform_edt(~mask), ndimage.distance_transform_edt(mask)
    near, far = (share * head_length_px for share in _RING)
    ring = (outside > near) & (outside <= far)
    slide = np.median(window[ring if ring.any() else ~mask], axis=0)
    sigma = _SMOOTHING * head_length_px
    amount = np.linalg.norm(ndimage.gaussian_filter(window, (sigma, sigma, 0)) - slide, axis=2)
    slope = np.hypot(*np.gradient(amount))[np.maximum(outside, inside) < _BAND * head_length_px]
    steepest = float(np.percentile(slope, _STEEPEST)) if slope.size else 0.0
    contrast = float(np.percentile(amount[mask], _DARK))
    return contrast / steepest / head_length_px if steepest > 0 else float("inf")


def find_edge_limit(widths: Sequence[float] | np.ndarray) -> float:
    """Width of the outline above which a head of a run is out of focus.

    `MAX_EDGE_WIDTH`, unless a coarser microscope shows even its sharpest heads with wider outlines: then 1.4 times the
    width of the sharpest tenth. Where all heads of such a run are blurred, none is above it.

    Args:
        widths: of the heads of the run, in lengths of a median head, as `measure_edge_width` returns them.

    Returns:
        In lengths of a median head; `MAX_EDGE_WIDTH` for fewer than 20 heads.
    """
    finite = np.asarray(widths, np.float64)
    finite = finite[np.isfinite(finite)]
    if len(finite) < _MIN_HEADS:
        return MAX_EDGE_WIDTH
    return float(np.clip(_BLURRED * np.percentile(finite, SHARPEST), MAX_EDGE_WIDTH, _MOST))


def describe_edge_limit(limit: float) -> str:
    """What people are told of a limit that `find_edge_limit` found; empty where it is `MAX_EDGE_WIDTH`."""
    if limit <= MAX_EDGE_WIDTH:
        return ""
    return (
        f"Outlines are wide even in the sharpest tenth of the heads, {limit / _BLURRED:.2f} of a head's length: heads "
        f"are out of focus above {limit:.2f} instead of {MAX_EDGE_WIDTH}. If all fields are blurred, this does not "
        "show it."
    )
