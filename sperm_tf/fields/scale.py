"""The scale of a field: pixel size, given or estimated from the heads that are in it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

HEAD_LENGTH_UM = 4.1
"""Median length of the head of a normal spermatozoon: WHO laboratory manual, 6th edition (2021), section 2.4.6."""
MAX_DISAGREEMENT = 1.5
"""Factor between the stated pixel size and that of the heads beyond which one of them is wrong."""
MAX_SPREAD = 1.05
"""Factor between the pixel sizes that the files of one run may state."""
GIVEN, ESTIMATED, UNKNOWN = SOURCES = ("given", "estimated", "unknown")
"""Where a pixel size comes from: from a person or file; from the heads; or there were none."""
_WORK_SIDE = 1280  # pixels of the longer side that is looked at

_MIN_RADIUS_PX = 3.0
_ELONGATION, _SOLIDITY = (1.2, 2.4), 0.9
_OUTLINE = 1.12
"""By which lengths are multiplied: Otsu's threshold lies inside the outline that people draw. Measured on the
fields of SpermParsing."""
_MIN_CONTRAST = 4.0
"""Stain by the slide's own unevenness, both medians, below which a field holds none. Evenly spread values, as of light
that falls off to one side, have 3; fields of SpermParsing have 34 to 85."""
_OPENING_SHARE = 0.6  # of a region's inner radius; takes its tail away


class ScaleError(ValueError):
    """A pixel size that cannot be; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large a pixel is.

    Attributes:
        head_length_px: median length of a head in pixels.
        pixel_size_um: micrometres a pixel.
        source: of `SOURCES`.
    """

    head_length_px: float
    pixel_size_um: float
    source: str


def measure_head_lengths(pixels: np.ndarray) -> np.ndarray:
    """Lengths of regions of stain that have a head's form, whatever the magnification.

    Otsu's threshold on the distance to the slide's colour; of each region the largest inscribed circle; opening by a
    part of it, which takes the tail away; the ellipse of what is left.

    Args:
        pixels: uint8 [H, W, 3], RGB, 0-255, a field.

    Returns:
        float64 [N, 2]: length in pixels of the field, and the region's weight, its share of the stained area.
    """
    from scipy import ndimage
    from skimage import filters, measure

    from sperm_tf.fields.regions import open_by_disk
    from sperm_tf.fields.stain import MEDIAN, RGB, measure_stain

    work, scale = _limit(pixels)
    stain = measure_stain(work, smoothing_px=1.0, head_px=1.0, channel=RGB, background=MEDIAN)
    is_stained = stain.amount > filters.threshold_otsu(stain.amount)
    if not _is_clear(stain.amount, is_stained):
        return np.zeros((0, 2))
    mask = ndimage.binary_fill_holes(is_stained)
    height, width = mask.shape
    found = []
    for region in measure.regionprops(measure.label(mask)):
        y0, x0, y1, x1 = region.bbox
        if y0 == 0 or x0 == 0 or y1 == height or x1 == width:
            continue
        inside = np.pad(region.image, 1)
        radius = float(ndimage.distance_transform_edt(inside).max())
        if radius < _MIN_RADIUS_PX:
            continue
        opened = measure.regionprops(open_by_disk(inside, _OPENING_SHARE * radius).astype(np.uint8))[0]
        elongation = opened.axis_major_length / opened.axis_minor_length
        if _ELONGATION[0] <= elongation <= _ELONGATION[1] and opened.solidity >= _SOLIDITY:
            amount = stain.amount[y0:y1, x0:x1][region.image]
            found.append((_OUTLINE * opened.axis_major_length / scale, opened.area * float(np.percentile(amount, 90))))
    lengths = np.array(found, np.float64).reshape(-1, 2)
    lengths[:, 1] /= max(lengths[:, 1].sum(), 1.0)
    return lengths


def estimate_head_length(fields: Iterable[np.ndarray]) -> float | None:
    """Median length of the heads of fields of one magnification, in pixels.

    Args:
        fields: what `measure_head_lengths` returned for each.

    Returns:
        The median, weighted by area, so that specks do not count; None where no field holds a region of that form.
    """
    found = [field for field in fields if len(field)]
    if not found:
        return None
    lengths, weights = np.concatenate(found).T
    order = np.argsort(lengths)
    sums = np.cumsum(weights[order])
    return float(lengths[order][np.searchsorted(sums, sums[-1] / 2)])


def find_scale(fields: Sequence[np.ndarray], pixel_size_um: float | None = None, *, check: bool = True) -> Scale | None:
    """The scale of fields of one magnification.

    Args:
        fields: what `measure_head_lengths` returned for each.
        pixel_size_um: as a file or a person states it; None where nobody does.
        check: whether a stated pixel size is compared with the heads.

    Returns:
        The scale; None where nothing is stated and no head is found.

    Raises:
        ScaleError: the pixel size is not positive, or disagrees with the heads by more than `MAX_DISAGREEMENT`.
    """
    length = estimate_head_length(fields)
    if pixel_size_um is None:
        return None if length is None else Scale(length, HEAD_LENGTH_UM / length, ESTIMATED)
    if not (pixel_size_um > 0 and math.isfinite(pixel_size_um)):
        raise ScaleError(
            f"pixel_size_um must be above 0. Received: pixel_size_um={pixel_size_um!r}. Give micrometres a pixel, such "
            "as 0.05."
        )
    if (
        check
        and length is not None
        and not 1 / MAX_DISAGREEMENT <= length * pixel_size_um / HEAD_LENGTH_UM <= MAX_DISAGREEMENT
    ):
        raise ScaleError(
            f"pixel_size_um must fit the heads, which are {HEAD_LENGTH_UM} um long in the median. Received: "
            f"pixel_size_um={pixel_size_um:.4g}, at which those that are found are {length * pixel_size_um:.3g} um "
            f"({length:.0f} pixels) long; {HEAD_LENGTH_UM / length:.3g} would fit. Look up the camera's pixel size and "
            "the objective, or leave pixel_size_um out to have it estimated. Debris is measured where there are "
            "hardly any heads: if you know the pixel size, use --nocheck_pixel_size."
        )
    return Scale(HEAD_LENGTH_UM / pixel_size_um, pixel_size_um, GIVEN)


def common_pixel_size(sizes: Sequence[float]) -> float | None:
    """The pixel size that files state, in micrometres; None where none states one.

    Raises:
        ScaleError: they differ by more than 5 %.
    """
    if not sizes:
        return None
    if max(sizes) > MAX_SPREAD * min(sizes):
        raise ScaleError(
            f"all fields must have one pixel size. Received: files that state {min(sizes):.4g} to {max(sizes):.4g} um. "
            "Analyse each magnification in a run of its own, or state the true size by --pixel_size_um"
        )
    return float(np.median(sizes))


def _is_clear(amount: np.ndarray, is_stained: np.ndarray) -> bool:
    """Whether what exceeds the threshold is stain, and not uneven light or noise."""
    if not is_stained.any():
        return False
    return bool(np.median(amount[is_stained]) >= _MIN_CONTRAST * np.median(amount[~is_stained]))


def _limit(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = _WORK_SIDE / max(height, width)
    if scale >= 1:
        return pixels, 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)), scale
