"""Proposes pairs of images of which one may be a turned, mirrored, magnified or sheared copy of the other.

Every pair of images is compared under 88 linear maps: the eight right-angle views (the dihedral group D4), each turned
by up to 10 degrees and magnified or reduced by up to a fifth. The middle of one image, mapped, is laid over the middle
of the other at 21 shifts. Both are projected on the principal components of such middles and whitened: heads of one
species share an outline, which fills the first components, so that without whitening any two heads correlate above
0.8. A comparison is then a product of two short vectors, and all of them are one matrix product.

What is proposed is a candidate and nothing more: `sperm_tf.data.affine_registration` decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sperm_tf.data.local_contrast import normalise_contrast

VIEWS: dict[str, np.ndarray] = {
    "upright": np.array([[1, 0], [0, 1]]),
    "rot90": np.array([[0, 1], [-1, 0]]),
    "rot180": np.array([[-1, 0], [0, -1]]),
    "rot270": np.array([[0, -1], [1, 0]]),
    "mirror": np.array([[1, 0], [0, -1]]),
    "mirror rot90": np.array([[0, 1], [1, 0]]),
    "mirror rot180": np.array([[-1, 0], [0, 1]]),
    "mirror rot270": np.array([[0, -1], [-1, 0]]),
}
"""The dihedral group D4: a view's rows and columns, counted from the middle, to those of the image it is a view of."""
_TURNS_AND_SCALES = (
    *((angle, 1.0) for angle in (-10, -5, 0, 5, 10)),
    *((angle, scale) for angle in (-8, 0, 8) for scale in (0.85, 1.18)),
)
"""Degrees by which every view is turned, and what it is magnified by."""
THRESHOLD = 0.68
"""Lowest whitened correlation that is proposed, -1 to 1; see docs/decisions/near_duplicates.md."""
_REDUCTION, _SIGMA = 6, 2.5
_RADIUS, _MAX_SHIFT = 10, 2.5  # reduced pixels: the middle that is compared, and by how much it may be shifted
_PATCH_RADIUS = 14  # what every map and shift finds inside
_NUM_COMPONENTS = 96
_NUM_BASIS_IMAGES = 200
_NUM_TEMPLATES_AT_ONCE, _NUM_WINDOWS_AT_ONCE = 16, 128  # products that stay in a cache


class Warp(NamedTuple):
    """An affine map from pixels of one image to those of another, both counted from the middle of the image.

    Attributes:
        linear: float [2, 2], of rows and columns.
        shift: float [2], pixels.
    """

    linear: np.ndarray
    shift: np.ndarray


class Proposal(NamedTuple):
    """Two images that may be copies.

    Attributes:
        first: position of one image.
        second: position of the other, greater than `first`.
        warp: from pixels of `second` to those of `first`, approximately.
        correlation: of the whitened middles, -1 to 1.
    """

    first: int
    second: int
    warp: Warp
    correlation: float


def propose(greys: Sequence[np.ndarray], *, turned_by: float = 0.0) -> list[Proposal]:
    """Compares every pair of images under all maps.

    Args:
        greys: uint8 [height, width] images, of sizes about those of `registration.to_usual_size`.
        turned_by: degrees by which all maps are turned, too. 45 tries maps that no copy stands in, as a control.

    Returns:
        The pairs that reach `THRESHOLD`, and for each image the one that is most like it; by position.
    """
    if len(greys) < 2:
        return []
    patches = np.stack([_patch(grey) for grey in greys])
    maps = _maps(turned_by)
    shifts = _disc(_MAX_SHIFT)
    basis = _whitening_basis(patches[:: math.ceil(len(patches) / _NUM_BASIS_IMAGES)], maps)
    templates = np.concatenate([_sampler(linear).T @ basis for linear in maps], axis=1)
    side = 2 * _PATCH_RADIUS + 1
    pixels = (_disc(_RADIUS) + _PATCH_RADIUS) @ (side, 1)
    windows = np.stack([_unit(patches[:, (pixels + shift @ (side, 1)).astype(int)] @ basis) for shift in shifts])
    search = _Search(patches, templates, windows)
    chosen: dict[tuple[int, int], tuple[float, int]] = {}
    likest = np.zeros((4, len(greys)))  # of every image: correlation, both positions, and the number of map and shift
    everyone = np.arange(len(greys))
    for start in range(0, len(greys), _NUM_TEMPLATES_AT_ONCE):
        found, places = search.block(start)
        for row, second in np.argwhere(found >= THRESHOLD).tolist():
            chosen[start + row, second] = (float(found[row, second]), int(places[row, second]))
        rows, columns = found.argmax(axis=0), found.argmax(axis=1)
        own = np.arange(len(found))
        for firsts, seconds, at in ((rows, everyone, everyone), (own, columns, start + own)):
            better = found[firsts, seconds] > likest[0, at]
            pairs = (found[firsts, seconds], start + firsts, seconds, places[firsts, seconds])
            likest[:, at[better]] = np.stack(pairs)[:, better]
    for correlation, first, second, place in likest[:, likest[0] > 0].T.tolist():
        chosen[int(first), int(second)] = (correlation, int(place))
    proposals = []
    for (first, second), (correlation, place) in sorted(chosen.items()):
        number, shift = divmod(place, len(shifts))
        warp = Warp(maps[number], -_REDUCTION * (maps[number] @ shifts[shift]))
        proposals.append(Proposal(first, second, warp, correlation))
    return proposals


class _Search:
    """The highest whitened correlation of images with those behind them.

    Attributes:
        patches: float32 [num_images, side * side].
        templates: makes a patch's middle under every map, float32 [side * side, num_maps * num_components].
        windows: float32 [num_shifts, num_images, num_components].
    """

    def __init__(self, patches: np.ndarray, templates: np.ndarray, windows: np.ndarray):
        self._patches, self._templates, self._windows = patches, templates, windows

    def block(self, start: int) -> tuple[np.ndarray, np.ndarray]:
        """Some images against all behind them.

        Args:
            start: position of the first image; `_NUM_TEMPLATES_AT_ONCE` follow.

        Returns:
            The correlations, float32 [num_templates, num_images], 0 for images that are not behind; and the
            number of map and shift where each was found.
        """
        patches = self._patches[start : start + _NUM_TEMPLATES_AT_ONCE]
        num_shifts, num_images, num_components = self._windows.shape
        templates = _unit((patches @ self._templates).reshape(-1, num_components))
        best = np.zeros((len(patches), num_images), np.float32)
        places = np.zeros(best.shape, np.int32)
        for first in range(start, num_images, _NUM_WINDOWS_AT_ONCE):
            columns = slice(first, first + _NUM_WINDOWS_AT_ONCE)
            for shift, windows in enumerate(self._windows[:, columns]):
                products = (templates @ windows.T).reshape(len(patches), -1, len(windows))
                highest = products.max(axis=1)
                rows, others = np.nonzero(highest > best[:, columns])
                best[rows, first + others] = highest[rows, others]
                places[rows, first + others] = products[rows, :, others].argmax(axis=1) * num_shifts + shift
        best[np.arange(num_images) <= start + np.arange(len(patches))[:, None]] = 0
        return best, places


def _maps(turned_by: float) -> np.ndarray:
    """Float [num_maps, 2, 2]."""
    maps = []
    for angle, scale in _TURNS_AND_SCALES:
        radians = math.radians(angle + turned_by)
        turn = np.array([[math.cos(radians), -math.sin(radians)], [math.sin(radians), math.cos(radians)]])
        maps += [turn @ view / scale for view in VIEWS.values()]
    return np.stack(maps)


def _disc(radius: float) -> np.ndarray:
    """Rows and columns of the pixels inside a circle: float [num_pixels, 2]."""
    side = math.floor(radius)
    rows, columns = np.mgrid[-side : side + 1, -side : side + 1]
    inside = rows**2 + columns**2 <= radius**2
    return np.stack([rows[inside], columns[inside]], axis=1).astype(float)


def _patch(grey: np.ndarray) -> np.ndarray:
    """The middle of an image, contrast-normalised; zero outside of it: float32 [side * side]."""
    reduced = normalise_contrast(grey, reduction=_REDUCTION, sigma=_SIGMA)
    # The last row and column stand for fewer pixels than the others, so the middle is that of the full size.
    places = [np.arange(-_PATCH_RADIUS, _PATCH_RADIUS + 1) + (side / _REDUCTION - 1) / 2 for side in grey.shape]
    rows, columns = (_cubic_weights(place, side) for place, side in zip(places, reduced.shape, strict=True))
    return (rows @ reduced @ columns.T).astype(np.float32).ravel()


def _cubic_weights(places: np.ndarray, length: int) -> np.ndarray:
    """Cubic convolution (R. G. Keys, 1981, a = -0.5): what each of `length` samples adds at each place."""
    distance = np.abs(places[:, None] - np.arange(length))
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))


def _sampler(linear: np.ndarray) -> np.ndarray:
    """Samples a patch where a map takes the pixels of the disc to: float32 [num_pixels, side * side]."""
    places = _disc(_RADIUS) @ linear.T + _PATCH_RADIUS
    side = 2 * _PATCH_RADIUS + 1
    rows, columns = (_cubic_weights(place, side) for place in places.T)
    return (rows[:, :, None] * columns[:, None, :]).reshape(len(places), -1).astype(np.float32)


def _whitening_basis(patches: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Principal components over their standard deviations: float32 [num_pixels, num_components]."""
    num_pixels = len(_disc(_RADIUS))
    moments = np.zeros((num_pixels, num_pixels))
    for linear in maps:
        samples = patches @ _sampler(linear).T
        samples /= np.maximum(np.linalg.norm(samples, axis=1, keepdims=True), 1e-3)
        moments += samples.T @ samples
    variances, components = np.linalg.eigh(moments / (len(patches) * len(maps)))
    variances, components = variances[::-1][:_NUM_COMPONENTS], components[:, ::-1][:, :_NUM_COMPONENTS]
    return (components / np.sqrt(np.maximum(variances, 1e-6))).astype(np.float32)


def _unit(projected: np.ndarray) -> np.ndarray:
    """Vectors of unit length; shorter where there is nothing to see."""
    return projected / np.maximum(np.linalg.norm(projected, axis=-1, keepdims=True), 1e-3)
