"""Lays an image over another one that may be turned, mirrored, magnified or sheared: the best affine map.

The correlation is maximised by the forward additive algorithm of G. D. Evangelidis and E. Z. Psarakis ("Parametric
image alignment using enhanced correlation coefficient maximization", IEEE TPAMI 30(10), 2008, algorithm FA-ECC), from a
map that is already nearly right.
"""

from __future__ import annotations

import concurrent.futures
import math
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from sperm_tf.data.affine_search import VIEWS, Warp, propose
from sperm_tf.data.local_contrast import normalise_contrast
from sperm_tf.data.registration import FINE_REDUCTION, FINE_SIGMA, USUAL_SIDE

AFFINE_CORRELATION = 0.90
"""From here on two images are copies of one; see docs/decisions/near_duplicates.md."""

MAX_STRETCH = 1.35
"""Highest factor by which a map may stretch or shrink in any direction."""
_STAGES = ((2, 3, 0.62), (1, 12, -1.0))
"""Every how many pixels are compared along a side, for how many steps, and the correlation below which that is all."""
_MIN_OVERLAP = 0.3


class AffineRegistration(NamedTuple):
    """Two images, laid over each other by an affine map.

    Attributes:
        correlation: inside the overlap, -1 to 1.
        overlap: share, 0-1, of the smaller image.
        warp: from pixels of the second image to those of the first, from the middle.
    """

    correlation: float
    overlap: float
    warp: Warp

    @property
    def view(self) -> str:
        """The right-angle view, of `VIEWS`, of the first image that the second one is closest to."""
        return max(VIEWS, key=lambda name: float((VIEWS[name] * self.warp.linear).sum()))

    @property
    def angle(self) -> float:
        """Degrees, -45 to 45, by which the map turns beyond `view`."""
        rest = self.warp.linear @ VIEWS[self.view].T
        return math.degrees(math.atan2(rest[1, 0] - rest[0, 1], rest[0, 0] + rest[1, 1]))

    @property
    def scale(self) -> float:
        """By which the map reduces the second image: the root of the area."""
        return math.sqrt(abs(np.linalg.det(self.warp.linear)))


def find_affine_registrations(
    greys: Sequence[np.ndarray], views: Mapping[tuple[int, ...], str] | None = None, *, turned_by: float = 0.0
) -> dict[tuple[int, int], AffineRegistration]:
    """Lays all pairs of images over each other that `affine_search.propose` names.

    Args:
        greys: uint8 [height, width] images, from `registration.to_usual_size`. Small ones are enlarged, all by one
            factor.
        views: further pairs (i, j) with i < j, and the view of i that j resembles.
        turned_by: degrees, of `propose`: 45 for a control.

    Returns:
        (i, j) with i < j -> the best map; by position. Whether they are copies is for `AFFINE_CORRELATION` to say.
    """
    greys = _enlarge(greys)
    starts = [(found.first, found.second, found.warp) for found in propose(greys, turned_by=turned_by)]
    starts += [(i, j, Warp(VIEWS[view], np.zeros(2))) for (i, j), view in (views or {}).items()]
    needed = sorted({index for first, second, _ in starts for index in (first, second)})
    fine = {i: normalise_contrast(greys[i], reduction=FINE_REDUCTION, sigma=FINE_SIGMA) for i in needed}
    best: dict[tuple[int, int], AffineRegistration] = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        aligned = threads.map(lambda start: align(fine[start[0]], fine[start[1]], start[2]), starts)
        for (first, second, _), found in zip(starts, aligned, strict=True):
            known = best.get((first, second), found)
            best[first, second] = max(known, found, key=lambda registration: registration.correlation)
    return dict(sorted(best.items()))


def _enlarge(greys: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """Images whose longer side is usually far below `USUAL_SIDE`, enlarged by one whole factor to about that."""
    if not greys:
        return greys
    factor = max(1, round(USUAL_SIDE / np.median([max(grey.shape) for grey in greys])))
    if factor == 1:
        return greys
    images = [Image.fromarray(grey) for grey in greys]
    resized = [
        image.resize((factor * image.width, factor * image.height), Image.Resampling.BICUBIC) for image in images
    ]
    return [np.asarray(image) for image in resized]


def align(image: np.ndarray, other: np.ndarray, warp: Warp) -> AffineRegistration:
    """Improves an affine map until the images correlate best.

    Args:
        image: float32 [height, width], contrast-normalised at `FINE_REDUCTION`.
        other: the same, of any size.
        warp: a map from pixels of `other` to those of `image` at their full size, right within some pixels.

    Returns:
        The best map that was met; a correlation of -1 where the images hardly overlap.
    """
    linear, shift = np.asarray(warp.linear, float), np.asarray(warp.shift, float) / FINE_REDUCTION
    for every, num_steps, hopeless in _STAGES:
        correlation, overlap, linear, shift = _climb(_Aligner(image, other, every=every), linear, shift, num_steps)
        if correlation < hopeless:
            break
    return AffineRegistration(correlation, overlap, Warp(linear, shift * FINE_REDUCTION))


def _climb(
    aligner: _Aligner, linear: np.ndarray, shift: np.ndarray, num_steps: int
) -> tuple[float, float, np.ndarray, np.ndarray]:
    """The best correlation that was met, its overlap and its map."""
    best = (-1.0, 0.0, linear, shift)
    for number in range(num_steps + 1):
        correlation, overlap, step = aligner.evaluate(linear, shift)
        if correlation <= best[0] + 1e-4 and number:
            break
        best = max(best, (correlation, overlap, linear, shift), key=lambda found: found[0])
        if step is None:
            break
        linear, shift = linear + step[:, :2], shift + step[:, 2]
        stretch = np.linalg.svd(linear, compute_uv=False)
        if stretch[0] > MAX_STRETCH or stretch[1] < 1 / MAX_STRETCH:
            break
    return best


class _Aligner:
    """One step of FA-ECC, for two images."""

    def __init__(self, image: np.ndarray, other: np.ndarray, *, every: int = 1):
        self._shape, self._centre = np.array(image.shape), (np.array(image.shape) - 1) / 2
        self._layers = np.stack([image, *np.gradient(image)], axis=-1).reshape(-1, 3).astype(np.float32)
        rows, columns = np.mgrid[: other.shape[0] : every, : other.shape[1] : every]
        self._points = np.stack([rows.ravel(), columns.ravel()]) - (np.array(other.shape)[:, None] - 1) / 2
        self._other = other[::every, ::every].ravel().astype(np.float32)
        self._smaller = min(image.size, other.size) / every**2

    def evaluate(self, linear: np.ndarray, shift: np.ndarray) -> tuple[float, float, np.ndarray | None]:
        """Correlation and overlap under a map, and the step, float [2, 3], that should improve it; None for none."""
        places = linear @ self._points + (shift + self._centre)[:, None]
        inside = ((places >= 0) & (places <= self._shape[:, None] - 1)).all(axis=0)
        overlap = inside.sum() / self._smaller
        if overlap < _MIN_OVERLAP:
            return -1.0, overlap, None
        places, target = places[:, inside], self._other[inside]
        points = self._points[:, inside].astype(np.float32)
        values, down, right = self._sample(places)
        energy, product = float(values @ values), float(values @ target)
        correlation = product / math.sqrt(energy * float(target @ target) + 1e-6)
        jacobian = np.stack([down * points[0], down * points[1], down, right * points[0], right * points[1], right])
        hessian = jacobian @ jacobian.T
        hessian[np.diag_indices(6)] *= 1 + 1e-6
        try:
            solved = np.linalg.solve(hessian, np.stack([jacobian @ values, jacobian @ target], axis=1))
        except np.linalg.LinAlgError:  # nothing to see
            return correlation, overlap, None
        own, toward = solved.T
        denominator = product - float((jacobian @ target) @ own)
        if denominator <= 0:
            return correlation, overlap, None
        gain = (energy - float((jacobian @ values) @ own)) / denominator
        return correlation, overlap, (gain * toward - own).reshape(2, 3)

    def _sample(self, places: np.ndarray) -> np.ndarray:
        """The image and its two gradients at places [2, N] inside it, linearly interpolated: float [3, N]."""
        corner = np.minimum(places.astype(np.int32), self._shape[:, None] - 2)
        down, right = (places - corner).astype(np.float32)
        first, width = corner[0] * self._shape[1] + corner[1], self._shape[1]
        upper, lower = (
            self._layers[at] * (1 - right)[:, None] + self._layers[at + 1] * right[:, None]
            for at in (first, first + width)
        )
        return (upper + (lower - upper) * down[:, None]).T
