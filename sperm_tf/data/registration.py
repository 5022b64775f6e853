"""Images of one field of view: cropped twice, or photographed again with another magnification.

A difference hash compares whole frames, so it loses a crop that is shifted by more than some tenth of its side, and one
that is a tenth larger. Here two images are laid over each other at every shift and some scales, after local contrast
normalisation: without it the dark head dominates, and any two heads of one orientation correlate above 0.9; with it the
tail, debris and grain of the background count as much as the head does, and only the same field of view correlates.
"""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import fft

from sperm_tf.data.coarse_search import MIN_PART, CoarsePair, find_coarse_pairs
from sperm_tf.data.local_contrast import normalise_contrast

MIN_OVERLAP = 0.45
"""Share of the smaller image that two crops must have in common."""
PART_CORRELATION = 0.85
"""Less overlap, from `MIN_PART`, counts, too, where it correlates as images of different fields never do."""
SCALES = (1.0, 0.955, 0.91)
"""What one image is reduced by before it is laid over the other; each of the two in turn."""
MIN_SIDE = 78
"""Shortest side, in pixels, of images that are searched: parts of smaller ones agree by chance."""
RESCALED_CORRELATION, RESCALED_COARSE_CORRELATION = 0.45, 0.75
"""Lowest correlations, at the original scale and in the coarse search, of which either is worth the other `SCALES`."""
USUAL_SIDE = 170
"""Pixels of the longer side that the resolutions below are meant for; see `to_usual_size`."""
FINE_REDUCTION, FINE_SIGMA = 3, 10 / 3
"""What images are reduced by before they are registered, and the sigma of the contrast normalisation."""
_FINE = (FINE_REDUCTION, FINE_SIGMA)
_PAIRS_AT_ONCE = 4096


class Registration(NamedTuple):
    """Two images, laid over each other where they agree best.

    Attributes:
        correlation: inside the overlap, -1 to 1.
        overlap: share, 0-1, of the smaller image.
        scale: by which one of them was reduced, of `SCALES`.
    """

    correlation: float
    overlap: float
    scale: float = 1.0


def to_usual_size(greys: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Reduces images whose longer side is usually over `USUAL_SIDE`, all by one factor, to about that.

    Args:
        greys: uint8 [height, width] images.

    Returns:
        uint8 [ceil(height / factor), ceil(width / factor)] images.
    """
    if not greys:
        return []
    factor = max(1, round(np.median([max(grey.shape) for grey in greys]) / USUAL_SIDE))
    return [np.asarray(Image.fromarray(grey).reduce(factor)) for grey in greys]


def register(image: np.ndarray, other: np.ndarray) -> Registration:
    """The shift at which two images agree best, among those that leave enough overlap.

    Args:
        image: float32 [height, width], contrast-normalised.
        other: the same, of any size.

    Returns:
        The best shift with an overlap of `MIN_OVERLAP`; or with one of `MIN_PART`, if it reaches `PART_CORRELATION`.
    """
    size = [fft.next_fast_len(a + b, real=True) for a, b in zip(image.shape, other.shape, strict=True)]
    spectrum = fft.rfft2(image, size) * np.conj(fft.rfft2(other, size))
    products = fft.irfft2(spectrum, size)
    smaller = min(image.size, other.size)
    height, width = np.minimum(image.shape, other.shape)
    rows = _Overlaps(image.shape[0], other.shape[0], min_overlap=MIN_PART * smaller / width)
    columns = _Overlaps(image.shape[1], other.shape[1], min_overlap=MIN_PART * smaller / height)
    energy = _window_energy(image, (rows.start, rows.stop), (columns.start, columns.stop))
    other_energy = _window_energy(
        other,
        (rows.start - rows.shift, rows.stop - rows.shift),
        (columns.start - columns.shift, columns.stop - columns.shift),
    )
    overlap = np.outer(rows.stop - rows.start, columns.stop - columns.start) / smaller
    correlation = np.take(products[rows.shift], columns.shift, axis=1) / np.sqrt(energy * other_energy + 1e-6)
    best = _best(correlation, overlap, MIN_PART)
    return best if best.correlation >= PART_CORRELATION else _best(correlation, overlap, MIN_OVERLAP)


def turned_correlation(grey: np.ndarray, other: np.ndarray, *, enough: float = 1.0) -> float:
    """The highest correlation of an image with another one turned by right angles or mirrored.

    What two images share without showing one field, such as a head of one outline, they mostly share with each other's
    mirror images, too; so this is how far chance reaches for this very pair.

    Args:
        grey: uint8 [height, width].
        other: the same, of any size.
        enough: a correlation above which it does not matter how high it is; the search ends there.

    Returns:
        -1 to 1; over the seven turns and reflections of `other`, all shifts, and `SCALES` of either image.
    """
    turned = [np.rot90(image, turns) for image in (other, other[:, ::-1]) for turns in range(4)][1:]
    best = -1.0
    for first, second in sorted({(scale, 1.0) for scale in SCALES} | {(1.0, scale) for scale in SCALES}, reverse=True):
        (image,) = _normalise([_rescale(grey, first)], _FINE)
        for opposite in _normalise([_rescale(view, second) for view in turned], _FINE):
            best = max(best, register(image, opposite).correlation)
            if best > enough:
                return best
    return best


def find_registrations(
    greys: Sequence[np.ndarray], further: Iterable[tuple[int, int]] = ()
) -> dict[tuple[int, int], Registration]:
    """Registers, at a third of the resolution, all pairs of images that a coarse search proposes.

    A pair that shares `MIN_OVERLAP` in the coarse search, and agrees there or at the original scale, is tried at the
    other `SCALES`, too; so is each of `further`.

    Args:
        greys: uint8 [height, width] images. Those with a side under `MIN_SIDE` are not searched.
        further: pairs (i, j) with i < j that are registered, too.

    Returns:
        (i, j) with i < j -> the best registration at any scale; by position.
    """
    large = [index for index, grey in enumerate(greys) if min(grey.shape) >= MIN_SIDE]
    found = find_coarse_pairs([greys[index] for index in large])
    coarse = {(large[i], large[j]): pair for (i, j), pair in found.items()}
    coarse |= dict.fromkeys(further, CoarsePair(1.0, 1.0))
    fine = _normalise(greys, _FINE)
    best: dict[tuple[int, int], Registration] = {}
    at_original_scale: dict[tuple[int, int], Registration] = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:  # its transforms let go of the interpreter
        for scale in SCALES:
            scaled = fine if scale == 1 else _normalise([_rescale(grey, scale) for grey in greys], _FINE)
            pairs = sorted(coarse)
            if scale != 1:
                pairs = [pair for pair in pairs if _may_agree_rescaled(coarse[pair], at_original_scale[pair])]
                pairs += [(j, i) for i, j in pairs]
            for (i, j), registration in _register_all(pairs, scaled, fine, threads):
                key, registration = (min(i, j), max(i, j)), registration._replace(scale=scale)
                best[key] = max(best.get(key, registration), registration)
            if scale == 1:
                at_original_scale = best.copy()
    return dict(sorted(best.items()))


def _may_agree_rescaled(coarse: CoarsePair, found: Registration) -> bool:
    return coarse.overlap >= MIN_OVERLAP and (
        found.correlation >= RESCALED_CORRELATION or coarse.correlation >= RESCALED_COARSE_CORRELATION
    )


def _register_all(
    pairs: list[tuple[int, int]],
    images: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
    threads: concurrent.futures.Executor,
) -> Iterator[tuple[tuple[int, int], Registration]]:
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):  # what a thread has found waits in memory
        some = pairs[start : start + _PAIRS_AT_ONCE]
        firsts, seconds = [images[i] for i, _ in some], [others[j] for _, j in some]
        yield from zip(some, threads.map(register, firsts, seconds), strict=True)


def _normalise(greys: Sequence[np.ndarray], resolution: tuple[int, float]) -> list[np.ndarray]:
    reduction, sigma = resolution
    return [normalise_contrast(grey, reduction=reduction, sigma=sigma) for grey in greys]


def _rescale(grey: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return grey
    width, height = (max(1, round(side * scale)) for side in reversed(grey.shape))
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.LANCZOS))


def _best(correlation: np.ndarray, overlap: np.ndarray, min_overlap: float) -> Registration:
    if not (overlap >= min_overlap).any():  # two elongated images, one across the other
        return Registration(-1.0, 0.0)
    place = np.where(overlap >= min_overlap, correlation, -1.0).argmax()
    return Registration(float(correlation.flat[place]), float(overlap.flat[place]))


class _Overlaps:
    """The shifts along one axis, and where the overlap starts and stops in the first image at each of them."""

    def __init__(self, length: int, other_length: int, *, min_overlap: float):
        shift = np.arange(1 - other_length, length)
        start, stop = np.maximum(shift, 0), np.minimum(length, other_length + shift)
        enough = stop - start >= min_overlap
        self.shift, self.start, self.stop = shift[enough], start[enough], stop[enough]


def _window_energy(
    image: np.ndarray, rows: tuple[np.ndarray, np.ndarray], columns: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Sums of squares inside rectangles, from a summed-area table: [num_row_ranges, num_column_ranges]."""
    table = np.zeros((image.shape[0] + 1, image.shape[1] + 1))
    np.cumsum(np.cumsum(np.square(image, dtype=np.float64), axis=0), axis=1, out=table[1:, 1:])
    (top, bottom), (left, right) = rows, columns
    bands = table[bottom] - table[top]
    return np.take(bands, right, axis=1) - np.take(bands, left, axis=1)
