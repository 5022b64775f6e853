"""How well two images agree where they overlap: the same field of view, cropped twice.

A difference hash compares whole frames, so it loses a crop that is shifted by more than some tenth of its side. Here
two images are laid over each other at every shift, after local contrast normalisation: without it the dark head
dominates, and any two heads of one orientation correlate above 0.9; with it the tail, debris and grain of the
background count as much as the head does, and only the same field of view correlates.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from scipy import fft, ndimage

# Share of the smaller image that two crops must have in common.
MIN_OVERLAP = 0.45
# Lowest correlation in the coarse search that is worth a registration.
COARSE_THRESHOLD = 0.88
_FINE_REDUCTION = 3
_COARSE_REDUCTION = 6
_TEMPLATE_SIDE = 13  # in pixels of the coarse image: 78 pixels of the source, a head and its surroundings
_CONTRAST_FLOOR = 2.0  # grey levels; keeps flat background from being amplified into noise


def normalise_contrast(grey: np.ndarray, *, reduction: int, sigma: float) -> np.ndarray:
    """Reduces a grey image and gives every region the same contrast.

    Args:
        grey: uint8 [height, width].
        reduction: factor by which the image is made smaller, by averaging.
        sigma: standard deviation in reduced pixels of the Gaussian that defines a region.

    Returns:
        float32 [ceil(height / reduction), ceil(width / reduction)], about zero mean and unit variance everywhere.
    """
    reduced = np.asarray(Image.fromarray(grey).reduce(reduction)).astype(np.float32)
    detail = ndimage.gaussian_filter(reduced, sigma / 5) - ndimage.gaussian_filter(reduced, sigma)
    return detail / np.sqrt(ndimage.gaussian_filter(detail * detail, sigma) + _CONTRAST_FLOOR**2)


def overlap_correlation(image: np.ndarray, other: np.ndarray) -> float:
    """Highest correlation of two images over all shifts that leave enough overlap.

    Args:
        image: float32 [height, width], contrast-normalised.
        other: the same, of any size.

    Returns:
        The correlation, -1 to 1, inside the overlap at the best shift.
    """
    size = [fft.next_fast_len(a + b, real=True) for a, b in zip(image.shape, other.shape, strict=True)]
    spectrum = fft.rfft2(image, size) * np.conj(fft.rfft2(other, size))
    products = fft.irfft2(spectrum, size)
    min_area = MIN_OVERLAP * min(image.size, other.size)
    height, width = np.minimum(image.shape, other.shape)
    rows = _Overlaps(image.shape[0], other.shape[0], min_overlap=min_area / width)
    columns = _Overlaps(image.shape[1], other.shape[1], min_overlap=min_area / height)
    energy = _window_energy(image, (rows.start, rows.stop), (columns.start, columns.stop))
    other_energy = _window_energy(
        other,
        (rows.start - rows.shift, rows.stop - rows.shift),
        (columns.start - columns.shift, columns.stop - columns.shift),
    )
    overlap = np.outer(rows.stop - rows.start, columns.stop - columns.start)
    correlation = products[np.ix_(rows.shift, columns.shift)] / np.sqrt(energy * other_energy + 1e-6)
    return float(correlation[overlap >= min_area].max())


def registered_pairs(
    greys: Sequence[np.ndarray], candidates: Iterable[tuple[int, int]]
) -> list[tuple[int, int, float]]:
    """Registers pairs of images at a third of the resolution.

    Args:
        greys: uint8 [height, width] images.
        candidates: pairs (i, j) with i < j, positions in `greys`.

    Returns:
        Every candidate once as (i, j, `overlap_correlation`), sorted.
    """

    @functools.lru_cache(maxsize=256)
    def reduced(index: int) -> np.ndarray:
        return normalise_contrast(greys[index], reduction=_FINE_REDUCTION, sigma=10 / 3)

    return [(i, j, overlap_correlation(reduced(i), reduced(j))) for i, j in sorted(set(candidates))]


def coarse_pairs(greys: Sequence[np.ndarray], *, threshold: float = COARSE_THRESHOLD) -> list[tuple[int, int]]:
    """Pairs of images of which one shows the centre of the other, at a sixth of the resolution.

    Every position of a 13 x 13 window is a row of one matrix, so that the search over all pairs and all shifts is a
    matrix product: seconds for 3,000 images.

    Args:
        greys: uint8 [height, width] images; those under 78 pixels a side are left out.
        threshold: lowest correlation of the centre of one image with some window of the other.

    Returns:
        Pairs (i, j) with i < j, sorted.
    """
    reduced = [normalise_contrast(grey, reduction=_COARSE_REDUCTION, sigma=2.5) for grey in greys]
    indices = [index for index, image in enumerate(reduced) if min(image.shape) >= _TEMPLATE_SIDE]
    if not indices:
        return []
    templates = np.stack([_centre_window(reduced[index]) for index in indices])
    pairs = set()
    for position, index in enumerate(indices):
        best = (templates @ _windows(reduced[index]).T).max(axis=1)
        for other in np.flatnonzero(best >= threshold):
            if other != position:
                pairs.add((min(index, indices[other]), max(index, indices[other])))
    return sorted(pairs)


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
    table[1:, 1:] = np.cumsum(np.cumsum(np.square(image, dtype=np.float64), axis=0), axis=1)
    (top, bottom), (left, right) = rows, columns
    return (
        table[np.ix_(bottom, right)]
        - table[np.ix_(top, right)]
        - table[np.ix_(bottom, left)]
        + table[np.ix_(top, left)]
    )


def _windows(image: np.ndarray) -> np.ndarray:
    """Every window of an image as a row of zero mean and unit length."""
    windows = sliding_window_view(image, (_TEMPLATE_SIDE, _TEMPLATE_SIDE)).reshape(-1, _TEMPLATE_SIDE**2)
    windows = windows - windows.mean(axis=1, keepdims=True)
    return windows / (np.linalg.norm(windows, axis=1, keepdims=True) + 1e-6)


def _centre_window(image: np.ndarray) -> np.ndarray:
    top, left = ((side - _TEMPLATE_SIDE) // 2 for side in image.shape)
    return _windows(image[top : top + _TEMPLATE_SIDE, left : left + _TEMPLATE_SIDE])[0]
