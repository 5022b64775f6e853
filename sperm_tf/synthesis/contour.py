"""The outline of a sperm head: a closed curve given by its radius over the angle around an inner point.

The curve is the only source of both the drawn head and its mask, so the mask is exact by construction.
"""

from __future__ import annotations

import dataclasses

import numpy as np

NUM_ANGLES = 720


@dataclasses.dataclass(frozen=True)
class HeadShape:
    """What describes an outline; lengths are micrometres, the rest has no unit.

    Attributes:
        length_um: extent along the long axis, before irregularity.
        width_um: largest extent across the long axis, before irregularity.
        taper: 0 is symmetric from base to tip; 0.3 is an egg whose narrow end is the base.
        neck: 0-1, how far the posterior part is constricted: the stalk of a pear.
        neck_share: share, 0-1, of the length that the constriction takes.
        pointedness: exponent of the ends; 2 is an ellipse, below 2 is a spindle, above 2 is blunt.
        harmonics: amplitudes relative to the radius, and phases in radians, of the Fourier terms 2, 3, 4, ...
        cuts: flat sides, as (direction in radians, distance relative to the half width).
    """

    length_um: float
    width_um: float
    taper: float = 0.0
    neck: float = 0.0
    neck_share: float = 0.45
    pointedness: float = 2.0
    harmonics: tuple[tuple[float, float], ...] = ()
    cuts: tuple[tuple[float, float], ...] = ()


class HeadContour:
    """The outline of one head, in its own coordinates: x runs from the base (negative) to the tip (positive).

    Attributes:
        radii_um: float64 [NUM_ANGLES], radius at the angles -pi ... pi (exclusive) around the origin, which is the
            point of the axis where the head is widest.
    """

    def __init__(self, shape: HeadShape):
        self._angles = -np.pi + 2 * np.pi * np.arange(NUM_ANGLES) / NUM_ANGLES
        radii = _smooth_radii(shape, self._angles)
        for order, (amplitude, phase) in enumerate(shape.harmonics, start=2):
            radii = radii * (1 + amplitude * np.cos(order * self._angles + phase))
        for direction, distance in shape.cuts:
            facing = np.cos(self._angles - direction)
            limit = distance * shape.width_um / 2 / np.maximum(facing, 1e-3)
            radii = np.where(facing > 1e-3, _smooth_minimum(radii, limit), radii)
        self.radii_um = radii
        self._slopes = np.gradient(np.concatenate([radii[-1:], radii, radii[:1]]), 2 * np.pi / NUM_ANGLES)[1:-1]

    @property
    def points_um(self) -> np.ndarray:
        """Vertices, float64 [NUM_ANGLES, 2] (x, y), anticlockwise."""
        return np.stack([self.radii_um * np.cos(self._angles), self.radii_um * np.sin(self._angles)], axis=1)

    @property
    def area_um2(self) -> float:
        """Area of the polygon of `points_um` (shoelace formula)."""
        x, y = self.points_um.T
        return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))

    @property
    def center_um(self) -> np.ndarray:
        """Centre of the bounding box, float64 [2]: what a person who crops a head puts in the middle."""
        points = self.points_um
        return (points.min(axis=0) + points.max(axis=0)) / 2

    @property
    def base_um(self) -> np.ndarray:
        """Where the neck is attached, float64 [2]."""
        return np.array([-self.radii_um[0], 0.0])

    def distance_um(self, x_um: np.ndarray, y_um: np.ndarray) -> np.ndarray:
        """Signed distance to the outline, negative inside, exact to first order near the outline.

        Args:
            x_um: coordinates along the axis, any shape.
            y_um: coordinates across the axis, same shape.

        Returns:
            float64, same shape, micrometres. Its sign is exact: it is negative inside `radii_um` only.
        """
        angle = np.arctan2(y_um, x_um)
        radius = np.interp(angle, self._angles, self.radii_um, period=2 * np.pi)
        slope = np.interp(angle, self._angles, self._slopes, period=2 * np.pi)
        return (np.hypot(x_um, y_um) - radius) / np.sqrt(1 + (slope / radius) ** 2)


def _smooth_radii(shape: HeadShape, angles: np.ndarray) -> np.ndarray:
    """Radii of the head before any irregularity, measured from its widest point.

    A half-width profile with one maximum is star-shaped around the point of the axis below that maximum, so the
    change to polar coordinates is exact.
    """
    along = -np.cos(np.linspace(0, np.pi, 401))  # dense at both ends, where the profile is steep
    profile = np.maximum(1 - np.abs(along) ** shape.pointedness, 0) ** 0.5 * (1 + shape.taper * along)
    reach = np.clip((2 * shape.neck_share - 1 - along) / (2 * shape.neck_share) / 0.75, 0, 1)
    profile *= 1 - shape.neck * reach * reach * (3 - 2 * reach)
    profile /= profile.max()
    x = shape.length_um / 2 * along
    y = shape.width_um / 2 * profile
    x = x - x[np.argmax(profile)]
    half_angles = np.arctan2(y, x)[::-1]  # 0 at the tip to pi at the base
    return np.interp(np.abs(angles), half_angles, np.hypot(x, y)[::-1])


def _smooth_minimum(first: np.ndarray, second: np.ndarray, sharpness: float = 8.0) -> np.ndarray:
    """Minimum of two positive arrays with a rounded corner."""
    return (first**-sharpness + second**-sharpness) ** (-1 / sharpness)
