"""Which heads lie out of focus: how wide their outline is."""

from __future__ import annotations

import numpy as np

from sperm_tf.fields.found import FoundHead
from sperm_tf.fields.pixels import FieldPixels

MAX_EDGE_WIDTH = 0.15
"""Width of the outline, in lengths of a median head, above which a head is out of focus. Chosen by eye on the sessions
of SpermParsing with even numbers; docs/fields.md says how many heads are above it."""
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
