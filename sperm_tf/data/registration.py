"""Images of one field of view: cropped twice, or photographed again with another magnification.

A difference hash compares whole frames, so it loses a crop that is shifted by more than some tenth of its side, and one
that is a tenth larger. Here two images are laid over each other at every shift and some scales, after local contrast
normalisation: without it the dark head dominates, and any two heads of one orientation correlate above 0.9; with it the
tail, debris and grain of the background count as much as the head does, and only the same field of view correlates.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from scipy import fft, ndimage

MIN_OVERLAP = 0.45
"""Share of the smaller image that two crops must have in common."""
MIN_PART, PART_CORRELATION = 0.25, 0.85
"""Less overlap counts, too, where what there is correlates as images of different fields never do."""
SCALES = (1.0, 0.955, 0.91)
"""What one image is reduced by before it is laid over the other; each of the two in turn."""
MIN_SIDE = 78
"""Shortest side, in pixels, of images that are searched: parts of smaller ones agree by chance."""
EXHAUSTIVE_SEARCH = 300
"""Up to so many images, all pairs are registered; of more, those that a coarse search proposes."""
COARSE_THRESHOLD = 0.90
"""Lowest correlation in the coarse search that is worth a registration: of the middle of an image ..."""
BORDER_THRESHOLD = 0.70
"""... of a window at its border, which also has to show something ..."""
SCALED_THRESHOLD = 0.92
"""... and of the middle of a reduced image."""
SHIFTED_THRESHOLD = 0.50
"""... and, wherever a window was found, the correlation there of all that both images show."""
_FINE, _COARSE = (3, 10 / 3), (6, 15 / 6)  # reduction, and sigma of the contrast normalisation
# Windows in pixels of the coarse image, and where they lie, as shares of the room that they have. A square, `MIN_SIDE`
# wide in the source, is a head and its surroundings; the strips are for neighbours that share less than that.
_SQUARE, _TALL, _WIDE = (13, 13), (20, 7), (7, 20)
_MIDDLE = (0.5, 0.5)
_AT_BORDERS = (
    *((_SQUARE, place) for place in ((0.5, 1.0), (1.0, 0.5), (1.0, 1.0), (1.0, 0.0))),
    (_TALL, (0.5, 1.0)),
    (_WIDE, (1.0, 0.5)),
)
_PAIRS_AT_ONCE = 4096
_MIN_CONTRAST = 0.25  # standard deviation of a window at the border, after normalisation
_CONTRAST_FLOOR = 2.0  # grey levels; keeps flat background from being amplified into noise


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
    correlation = products[np.ix_(rows.shift, columns.shift)] / np.sqrt(energy * other_energy + 1e-6)
    best = _best(correlation, overlap, MIN_PART)
    return best if best.correlation >= PART_CORRELATION else _best(correlation, overlap, MIN_OVERLAP)


def turned_correlation(grey: np.ndarray, other: np.ndarray) -> float:
    """The highest correlation of an image with another one turned or mirrored, which cannot show the same field.

    What two images share without showing one field, such as a head of one outline, they mostly share with each other's
    mirror images, too; so this is how far chance reaches for this very pair.

    Args:
        grey: uint8 [height, width].
        other: the same, of any size.

    Returns:
        -1 to 1; over the seven turns and reflections of `other`, all shifts, and `SCALES` of either image.
    """
    turned = [np.rot90(image, turns) for image in (other, other[:, ::-1]) for turns in range(4)][1:]
    scales = {(scale, 1.0) for scale in SCALES} | {(1.0, scale) for scale in SCALES}
    return max(
        register(image, opposite).correlation
        for first, second in sorted(scales)
        for image in _normalise([_rescale(grey, first)], _FINE)
        for opposite in _normalise([_rescale(image, second) for image in turned], _FINE)
    )


def find_registrations(
    greys: Sequence[np.ndarray], further: Iterable[tuple[int, int]] = ()
) -> dict[tuple[int, int], Registration]:
    """Registers, at a third of the resolution, all pairs of images, or of many those that a coarse search proposes.

    Args:
        greys: uint8 [height, width] images.
        further: pairs (i, j) with i < j that are registered, too.

    Returns:
        (i, j) with i < j -> the best registration at any scale; by position.
    """
    further = set(further)
    fine = _normalise(greys, _FINE)
    best: dict[tuple[int, int], Registration] = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:  # its transforms let go of the interpreter
        for scale in SCALES:
            reduced = [_rescale(grey, scale) for grey in greys]
            if scale == 1 and len(greys) <= EXHAUSTIVE_SEARCH:
                large = [index for index, grey in enumerate(greys) if min(grey.shape) >= MIN_SIDE]
                pairs = {*itertools.combinations(large, 2), *further}
            else:
                pairs = {*coarse_pairs(reduced, greys, borders=scale == 1), *further, *((j, i) for i, j in further)}
            if scale == 1:  # both orders are the same
                pairs = {(min(pair), max(pair)) for pair in pairs}
            scaled = fine if scale == 1 else _normalise(reduced, _FINE)
            for (i, j), found in _register_all(sorted(pairs), scaled, fine, threads):
                key, found = (min(i, j), max(i, j)), found._replace(scale=scale)
                best[key] = max(best.get(key, found), found)
    return dict(sorted(best.items()))


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


def coarse_pairs(greys: Sequence[np.ndarray], others: Sequence[np.ndarray], *, borders: bool) -> list[tuple[int, int]]:
    """Pairs of images of which the second shows a part of the first, at a sixth of the resolution.

    Every position of a window is a row of one matrix, so that the search over all pairs and all shifts is a matrix
    product: seconds for 3,000 images. Where a window is found, all that both images show at that shift has to agree.

    Args:
        greys: uint8 [height, width] images; windows that do not fit into an image are left out.
        others: as many, the same images, perhaps of another size.
        borders: whether to look for windows at the right and lower border of the first image, too, and not for its
            middle alone. Of two crops of one field, one shows such a border of the other.

    Returns:
        Pairs (i, j), i != j, sorted.
    """
    images, others = _normalise(greys, _COARSE), _normalise(others, _COARSE)
    if borders:
        searches = [(_SQUARE, _MIDDLE, COARSE_THRESHOLD), *((*window, BORDER_THRESHOLD) for window in _AT_BORDERS)]
    else:
        searches = [(_SQUARE, _MIDDLE, SCALED_THRESHOLD)]
    pairs: set[tuple[int, int]] = set()
    for shape in {shape for shape, _, _ in searches}:
        places = [(place, threshold) for other, place, threshold in searches if other == shape]
        templates = list(_templates(images, shape, places))
        if not templates:
            continue
        matrix = np.stack([template.row for template in templates])
        threshold = np.array([template.threshold for template in templates])
        for index, image in enumerate(others):
            if image.shape[0] < shape[0] or image.shape[1] < shape[1]:
                continue
            correlation = matrix @ _windows(image, shape).T
            place = correlation.argmax(axis=1)
            for number in np.flatnonzero(correlation[np.arange(len(place)), place] >= threshold):
                first, top, left = templates[number][:3]
                row, column = divmod(int(place[number]), image.shape[1] - shape[1] + 1)
                if (
                    first != index
                    and (first, index) not in pairs
                    and _shifted_correlation(images[first], image, top - row, left - column) >= SHIFTED_THRESHOLD
                ):
                    pairs.add((first, index))
    return sorted(pairs)


class _Template(NamedTuple):
    """A window of an image: which image, where its corner lies, its pixels, and what it has to reach."""

    owner: int
    top: int
    left: int
    row: np.ndarray
    threshold: float


def _templates(
    images: Sequence[np.ndarray], shape: tuple[int, int], places: Sequence[tuple[tuple[float, float], float]]
) -> Iterator[_Template]:
    for index, image in enumerate(images):
        bottom, right = image.shape[0] - shape[0], image.shape[1] - shape[1]
        if min(bottom, right) < 0:
            continue
        for (down, across), threshold in places:
            top, left = int(down * bottom), int(across * right)
            window = image[top : top + shape[0], left : left + shape[1]]
            if (down, across) == _MIDDLE or window.std() >= _MIN_CONTRAST:
                yield _Template(index, top, left, _windows(window, shape)[0], threshold)


def _shifted_correlation(image: np.ndarray, other: np.ndarray, down: int, right: int) -> float:
    """Correlation of what two images share where the second lies that many pixels below and to the right."""
    part = image[max(down, 0) : other.shape[0] + down, max(right, 0) : other.shape[1] + right]
    top, left = max(-down, 0), max(-right, 0)
    shared = other[top : top + part.shape[0], left : left + part.shape[1]]
    return float((part * shared).sum() / np.sqrt((part**2).sum() * (shared**2).sum() + 1e-6))


def _normalise(greys: Sequence[np.ndarray], resolution: tuple[int, float]) -> list[np.ndarray]:
    reduction, sigma = resolution
    return [normalise_contrast(grey, reduction=reduction, sigma=sigma) for grey in greys]


def _rescale(grey: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return grey
    width, height = (max(1, round(side * scale)) for side in reversed(grey.shape))
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.LANCZOS))


def _best(correlation: np.ndarray, overlap: np.ndarray, min_overlap: float) -> Registration:
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
    table[1:, 1:] = np.cumsum(np.cumsum(np.square(image, dtype=np.float64), axis=0), axis=1)
    (top, bottom), (left, right) = rows, columns
    return (
        table[np.ix_(bottom, right)]
        - table[np.ix_(top, right)]
        - table[np.ix_(bottom, left)]
        + table[np.ix_(top, left)]
    )


def _windows(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Every window of an image as a row of zero mean and unit length."""
    windows = sliding_window_view(image, shape).reshape(-1, shape[0] * shape[1])
    windows = windows - windows.mean(axis=1, keepdims=True)
    return windows / (np.linalg.norm(windows, axis=1, keepdims=True) + 1e-6)
