"""Measures of midpiece and tail along their centre lines."""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.morphometry.centerline import Centerline, find_centerline
from sperm_tf.morphometry.head import HeadAxis
from sperm_tf.morphometry.masks import drop_small_objects

BEND_WINDOW_UM = 1.5
"""Length of tail within which `TailMeasures.bend_deg` looks for a change of direction."""
THICK_UM = 1.0
"""What is wider than this is no midpiece, which is slender, but cytoplasm at it."""


@dataclasses.dataclass(frozen=True)
class MidpieceMeasures:
    """Size and insertion of a midpiece; NaN where it takes a head that is not there.

    Attributes:
        length_um: along the centre line.
        width_um: area over length.
        angle_deg: angle between the head's principal axis, towards the midpiece, and the midpiece's own, 0-180; 0 is
            straight on.
        offset_um: distance of the midpiece's near end from the head's axis.
        thick_area_um2: area of what is wider than `THICK_UM`: residual cytoplasm, where it is in the mask.
    """

    length_um: float
    width_um: float
    angle_deg: float
    offset_um: float
    thick_area_um2: float


@dataclasses.dataclass(frozen=True)
class TailMeasures:
    """Length and course of a tail.

    Attributes:
        length_um: along the centre line of all visible pieces; windings that lie on each other count once. 0 for an
            empty mask, of which the rest but `num_pieces` is NaN.
        width_um: area over length.
        num_pieces: number of separate objects.
        turning_deg: largest range of the heading along one piece; 360 is a full turn.
        bend_deg: largest change of heading within `BEND_WINDOW_UM`.
    """

    length_um: float
    width_um: float
    num_pieces: float
    turning_deg: float
    bend_deg: float


def measure_midpiece(
    midpiece: np.ndarray, head_axis: HeadAxis | None, *, pixel_size_um: float
) -> MidpieceMeasures | None:
    """Measures a midpiece.

    Args:
        midpiece: bool [H, W].
        head_axis: of the cell's head, in the pixels of the same window; None without a head.
        pixel_size_um: micrometres per pixel.

    Returns:
        The measures; None where the mask holds no object of the smallest size.
    """
    mask = drop_small_objects(midpiece, pixel_size_um)
    if not mask.any():
        return None
    line = find_centerline(mask)
    length_um = line.length_px * pixel_size_um
    angle_deg, offset_um = _insertion(mask, line, head_axis, pixel_size_um)
    return MidpieceMeasures(
        length_um=length_um,
        width_um=np.count_nonzero(mask) * pixel_size_um**2 / length_um,
        angle_deg=angle_deg,
        offset_um=offset_um,
        thick_area_um2=_thick_area_um2(mask, pixel_size_um),
    )


def measure_tail(tail: np.ndarray, *, pixel_size_um: float) -> TailMeasures:
    """Measures a tail, bool [H, W]."""
    from skimage.measure import label

    mask = drop_small_objects(tail, pixel_size_um)
    if not mask.any():
        return TailMeasures(0.0, np.nan, 0.0, np.nan, np.nan)
    line = find_centerline(mask)
    length_um = line.length_px * pixel_size_um
    return TailMeasures(
        length_um=length_um,
        width_um=np.count_nonzero(mask) * pixel_size_um**2 / length_um,
        num_pieces=float(label(mask, connectivity=2).max()),
        turning_deg=float(np.degrees(line.turning)),
        bend_deg=float(np.degrees(line.sharpest_bend(BEND_WINDOW_UM / pixel_size_um))),
    )


def _insertion(
    mask: np.ndarray, line: Centerline, head_axis: HeadAxis | None, pixel_size_um: float
) -> tuple[float, float]:
    """Angle in degrees between the axes of head and midpiece, and distance in um of its near end from the head's."""
    if head_axis is None:
        return np.nan, np.nan
    near = line.nearest_end(head_axis.center)
    toward = near - head_axis.center
    backward = head_axis.direction * (1.0 if toward @ head_axis.direction >= 0 else -1.0)
    offsets = np.argwhere(mask) - near
    own = np.linalg.eigh(np.cov(offsets.T))[1][:, -1] if len(offsets) > 1 else toward
    own = own * (1.0 if own @ offsets.mean(axis=0) >= 0 else -1.0)
    angle = np.degrees(np.arccos(np.clip(own @ backward / np.hypot(*own), -1, 1)))
    aside = abs(toward[0] * backward[1] - toward[1] * backward[0])
    return float(angle), float(aside) * pixel_size_um


def _thick_area_um2(mask: np.ndarray, pixel_size_um: float) -> float:
    """Area of the mask after an opening with a disc of diameter `THICK_UM`."""
    from skimage.morphology import isotropic_dilation, isotropic_erosion

    radius = THICK_UM / 2 / pixel_size_um
    core = isotropic_erosion(np.pad(mask, 2), radius)
    if not core.any():  # scikit-image 0.26 dilates an empty mask to a row of pixels
        return 0.0
    return float(np.count_nonzero(isotropic_dilation(core, radius))) * pixel_size_um**2
