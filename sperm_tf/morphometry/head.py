"""Measures of the head: size, shape factors, acrosome, vacuoles.

How pixels enter: the area is the number of pixels. The perimeter is Crofton's formula with four directions, the
`perimeter_crofton` of scikit-image's regionprops, right on average; its `perimeter` is some 4 % too long for heads of
30 to 90 pixels. Length and width are extents of the outline at half height of the mask after a Gaussian of one
pixel: extents of pixel centres are a pixel too short, those of pixel corners up to a pixel too long.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.morphometry import shape_factors
from sperm_tf.morphometry.masks import drop_small_objects

_SMOOTHING_PX = 1.0


@dataclasses.dataclass(frozen=True)
class HeadMeasures:
    """Size and shape of a head; NaN where a part was not looked for.

    Attributes:
        length_um: extent along the principal axis of the area.
        width_um: extent across that axis.
        area_um2: area, vacuoles included.
        perimeter_um: length of the outline.
        ellipticity: length over width.
        elongation: (L - W) / (L + W).
        rugosity: 4 pi A / P^2.
        regularity: pi L W / (4 A).
        acrosome_share: area of the acrosome over that of the head, 0-1.
        num_vacuoles: number of vacuoles.
        vacuole_share: their area over that of the head, 0-1.
        num_postacrosomal_vacuoles: vacuoles with less than half of their area in the acrosome.
    """

    length_um: float
    width_um: float
    area_um2: float
    perimeter_um: float
    ellipticity: float
    elongation: float
    rugosity: float
    regularity: float
    acrosome_share: float
    num_vacuoles: float
    vacuole_share: float
    num_postacrosomal_vacuoles: float


@dataclasses.dataclass(frozen=True, eq=False)
class HeadAxis:
    """Where a head lies.

    Attributes:
        center: float64 [2], row and column of the centroid.
        direction: float64 [2], unit vector (rows, columns) along the principal axis; its sign means nothing.
    """

    center: np.ndarray
    direction: np.ndarray


def measure_head(
    head: np.ndarray, acrosome: np.ndarray | None, vacuoles: np.ndarray | None, *, pixel_size_um: float
) -> HeadMeasures | None:
    """Measures a head.

    Args:
        head: bool [H, W]; its largest object counts, with holes filled.
        acrosome: bool [H, W], or None.
        vacuoles: bool [H, W], or None.
        pixel_size_um: micrometres per pixel.

    Returns:
        The measures; None where the mask holds no object of the smallest size.
    """
    from skimage.measure import regionprops

    solid = solid_head(head, pixel_size_um)
    if solid is None:
        return None
    (region,) = regionprops(np.pad(solid, 1).astype(np.uint8))
    length_um, width_um = (pixel_size_um * extent for extent in _extents(solid, find_axis(solid)))
    area_um2 = float(region.area) * pixel_size_um**2
    perimeter_um = float(region.perimeter_crofton) * pixel_size_um
    share = np.nan if acrosome is None else np.count_nonzero(acrosome & solid) / np.count_nonzero(solid)
    num, vacuole_share, num_behind = _measure_vacuoles(solid, acrosome, vacuoles, pixel_size_um)
    return HeadMeasures(
        length_um=length_um,
        width_um=width_um,
        area_um2=area_um2,
        perimeter_um=perimeter_um,
        ellipticity=shape_factors.ellipticity(length_um, width_um),
        elongation=shape_factors.elongation(length_um, width_um),
        rugosity=shape_factors.rugosity(area_um2, perimeter_um),
        regularity=shape_factors.regularity(length_um, width_um, area_um2),
        acrosome_share=float(share),
        num_vacuoles=num,
        vacuole_share=vacuole_share,
        num_postacrosomal_vacuoles=num_behind,
    )


def solid_head(head: np.ndarray, pixel_size_um: float) -> np.ndarray | None:
    """The largest object of a mask, bool [H, W], with its holes filled; None without one."""
    from scipy import ndimage
    from skimage.measure import label

    labels = label(drop_small_objects(head, pixel_size_um), connectivity=2)
    if not labels.any():
        return None
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return ndimage.binary_fill_holes(labels == areas.argmax())


def find_axis(solid: np.ndarray) -> HeadAxis:
    """Centroid and principal axis (second moments of the area) of a mask, bool [H, W]."""
    from skimage.measure import regionprops

    (region,) = regionprops(solid.astype(np.uint8))
    direction = np.array([np.cos(region.orientation), np.sin(region.orientation)])
    return HeadAxis(np.asarray(region.centroid, np.float64), direction)


def _extents(solid: np.ndarray, axis: HeadAxis) -> tuple[float, float]:
    """Extents in pixels of the smoothed outline along and across the axis; the larger one is the length."""
    from skimage.filters import gaussian
    from skimage.measure import find_contours

    smooth = gaussian(np.pad(solid, 4).astype(np.float64), _SMOOTHING_PX)
    outline = np.concatenate(find_contours(smooth, 0.5))
    along = float(np.ptp(outline @ axis.direction))
    across = float(np.ptp(outline @ (-axis.direction[1], axis.direction[0])))
    return max(along, across), min(along, across)


def _measure_vacuoles(
    solid: np.ndarray, acrosome: np.ndarray | None, vacuoles: np.ndarray | None, pixel_size_um: float
) -> tuple[float, float, float]:
    """Number of vacuoles, their share of the head, and the number of those behind the acrosome."""
    from skimage.measure import label

    if vacuoles is None:
        return np.nan, np.nan, np.nan
    labels, count = label(drop_small_objects(vacuoles & solid, pixel_size_um), connectivity=2, return_num=True)
    share = np.count_nonzero(labels) / np.count_nonzero(solid)
    if acrosome is None:
        return float(count), share, np.nan
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    within = np.bincount(labels[acrosome], minlength=count + 1)[1:]
    return float(count), share, float(np.count_nonzero(2 * within < areas))
