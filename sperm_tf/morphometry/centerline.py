"""The centre line of a thin part: its length with both ends treated, and how it bends.

The skeleton of a straight line of 100 x 1 pixels has 98 to 100 pixels, depending on the method, that of a line of
width 9 ends up to half a width before the mask does, and steps between pixels make an oblique line up to 8 % too long.
So the skeleton gives the course only: its short side branches and its last half width are cut off, it is smoothed,
and both ends are prolonged straight to where the mask ends.

The skeleton is scikit-image's `thin` (Guo and Hall 1989). Its `skeletonize` (Zhang and Suen 1984) eats up a diagonal
line of two or four pixels across from one end: of 100 pixels 50 are left.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.morphometry.curves import join_branches
from sperm_tf.morphometry.skeleton_graph import Branch, trace_branches

_SMOOTHING_PX = 3.0
_SPUR_RADII = 1.5  # side branches up to this many half widths are roughness of the outline, or corners of an end
_END_PX = 6  # pixels that give the direction of an end
_RAY_STEP_PX = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class Centerline:
    """The centre line of a mask, in pixels.

    Attributes:
        curves: float64 [N, 2] each, rows and columns of points about a pixel apart. One curve for each visible piece;
            where a part crosses itself the curve goes straight on.
    """

    curves: tuple[np.ndarray, ...]

    @property
    def length_px(self) -> float:
        """Length of all curves together."""
        return float(sum(np.hypot(*np.diff(curve, axis=0).T).sum() for curve in self.curves))

    @property
    def turning(self) -> float:
        """Largest range, in radians, of the heading along one curve: 2 pi and more is a full turn."""
        return max((float(np.ptp(headings)) for curve in self.curves if len(headings := _headings(curve))), default=0.0)

    def sharpest_bend(self, window_px: float) -> float:
        """Largest change of heading, in radians, within `window_px` of a curve; 0 for shorter curves."""
        step = max(round(window_px), 1)
        bends = [0.0]
        for curve in self.curves:
            headings = _headings(curve)
            if len(headings) > step:
                bends.append(float(np.abs(headings[step:] - headings[:-step]).max()))
        return max(bends)

    def nearest_end(self, point: np.ndarray) -> np.ndarray:
        """The end of a curve, float64 [2], that is nearest to a point (row, column)."""
        ends = np.concatenate([curve[[0, -1]] for curve in self.curves])
        return ends[np.argmin(np.hypot(*(ends - point).T))]


def find_centerline(mask: np.ndarray) -> Centerline:
    """Finds the centre line.

    Args:
        mask: bool [H, W], one thin part, in one piece or several. What touches the border is cut there.

    Returns:
        The centre line; without curves where the mask is empty.
    """
    from scipy import ndimage
    from skimage.morphology import thin

    margin = 2
    padded = np.pad(mask, margin)
    radii = ndimage.distance_transform_edt(padded)
    branches = _prune(thin(padded), radii)
    curves = []
    for curve, is_open in join_branches(branches, radii):
        course = _smooth(_trim(curve, radii) if is_open else curve, is_open)
        curves.append((_prolong(course, padded, radii) if is_open else course) - margin)
    return Centerline(tuple(curves))


def _prune(skeleton: np.ndarray, radii: np.ndarray) -> list[Branch]:
    """Branches without those that end freely within `_SPUR_RADII` half widths of their junction."""
    skeleton = skeleton.copy()
    while True:
        branches = trace_branches(skeleton)
        spurs = []
        for branch in branches:
            if sum(branch.is_free) != 1 or len(branch.pixels) < 2:
                continue
            pixels = branch.pixels if branch.is_free[0] else branch.pixels[::-1]
            if len(pixels) - 1 <= _SPUR_RADII * radii[tuple(pixels[-1])] + 1:
                spurs.append(pixels[:-1])
        if not spurs:
            return branches
        for spur in spurs:
            skeleton[tuple(spur.T)] = False


def _trim(curve: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """The curve without half a width at either end, where a skeleton turns into the corners of the mask."""
    half_width = int(np.median(radii[tuple(curve.T)]))
    return curve[half_width:-half_width] if half_width and len(curve) > 6 * half_width else curve


def _smooth(curve: np.ndarray, is_open: bool) -> np.ndarray:
    """A Gaussian along the curve; open ends stay in place."""
    from scipy import ndimage

    if len(curve) < 3:
        return curve.astype(np.float64)
    if not is_open:
        ring = ndimage.gaussian_filter1d(curve[:-1].astype(np.float64), _SMOOTHING_PX, axis=0, mode="wrap")
        return np.concatenate([ring, ring[:1]])
    reach = min(int(4 * _SMOOTHING_PX), len(curve) - 1)
    longer = np.pad(curve.astype(np.float64), ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    return ndimage.gaussian_filter1d(longer, _SMOOTHING_PX, axis=0)[reach:-reach]


def _prolong(course: np.ndarray, mask: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """The curve with both ends prolonged to where the mask ends, by three half widths at most."""
    if len(course) < 2:
        axis, limit = _main_direction(mask, course[0], radii), np.hypot(*mask.shape)
        ends = (_last_inside(course[0], sign * axis, mask, limit) for sign in (-1, 1))
        return np.stack(list(ends))
    # An end at a junction leads into the part that it meets: without a limit it would run along it.
    limit = 3 * float(np.median(radii[tuple(np.round(course).astype(int).T)])) + 2
    reach = min(_END_PX, len(course) - 1)
    first = _last_inside(course[0], course[0] - course[reach], mask, limit)
    last = _last_inside(course[-1], course[-1] - course[-1 - reach], mask, limit)
    return np.concatenate([first[None], course, last[None]])


def _last_inside(start: np.ndarray, direction: np.ndarray, mask: np.ndarray, limit: float) -> np.ndarray:
    """The point on a ray from `start` where the mask, interpolated between pixel centres, falls below one half."""
    from scipy import ndimage

    direction = direction / max(np.hypot(*direction), 1e-9)
    distances = np.arange(0, limit, _RAY_STEP_PX)
    ray = start[:, None] + direction[:, None] * distances
    heights = ndimage.map_coordinates(mask.astype(np.float32), ray, order=1, mode="constant")
    outside = np.flatnonzero(heights < 0.5)
    reached = distances[outside[0]] - _RAY_STEP_PX / 2 if len(outside) else 0.0
    return start + direction * max(reached, 0.0)


def _main_direction(mask: np.ndarray, point: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Principal axis of the mask around a point; for objects whose skeleton is a single pixel."""
    reach = int(2 * radii[tuple(np.round(point).astype(int))]) + 2
    rows, columns = np.nonzero(mask)
    near = np.maximum(abs(rows - point[0]), abs(columns - point[1])) <= reach
    offsets = np.stack([rows[near], columns[near]], axis=1) - point
    return np.linalg.eigh(offsets.T @ offsets)[1][:, -1]


def _resample(curve: np.ndarray) -> np.ndarray:
    """The curve at points a pixel apart."""
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    places = np.arange(0, travelled[-1], 1.0)
    return np.stack([np.interp(places, travelled, curve[:, axis]) for axis in (0, 1)], axis=1)


def _headings(curve: np.ndarray) -> np.ndarray:
    """Directions of the curve's steps, radians, without jumps."""
    down, right = np.diff(_resample(curve), axis=0).T
    return np.unwrap(np.arctan2(down, right))
