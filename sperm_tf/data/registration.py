"""Images of one field of view: cropped twice, or photographed again with another magnification.

A difference hash compares whole frames, so it loses a crop that is shifted by more than some tenth of its side, and one
that is a tenth larger. Here two images are laid over each other at every shift and some scales, after local contrast
normalisation: without it the dark head dominates, and any two heads of one orientation correlate above 0.9; with it the
tail, debris and grain of the background count as much as the head does, and only the same field of view correlates.
"""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
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
COARSE_THRESHOLD = 0.58
"""Lowest correlation in the coarse search that is worth a registration."""
USUAL_SIDE = 170
"""Pixels of the longer side that the resolutions below are meant for; see `to_usual_size`."""
FINE_REDUCTION, FINE_SIGMA = 3, 10 / 3
"""What images are reduced by before they are registered, and the sigma of the contrast normalisation."""
_FINE, _COARSE = (FINE_REDUCTION, FINE_SIGMA), (6, 15 / 6)  # reduction, and sigma of the contrast normalisation
_PAIRS_AT_ONCE = 4096
_BLOCK = 32  # spectra that are multiplied at once: what a cache holds
_ENERGY_FLOOR = 1e-3
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

    A pair that shares `MIN_OVERLAP` at the original scale is tried at the other `SCALES`, too.

    Args:
        greys: uint8 [height, width] images. Those with a side under `MIN_SIDE` are not searched.
        further: pairs (i, j) with i < j that are registered, too.

    Returns:
        (i, j) with i < j -> the best registration at any scale; by position.
    """
    large = [index for index, grey in enumerate(greys) if min(grey.shape) >= MIN_SIDE]
    found = coarse_pairs([greys[index] for index in large])
    overlaps = {(large[i], large[j]): overlap for (i, j), overlap in found.items()}
    overlaps |= dict.fromkeys(further, 1.0)
    fine = _normalise(greys, _FINE)
    best: dict[tuple[int, int], Registration] = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:  # its transforms let go of the interpreter
        for scale in SCALES:
            scaled = fine if scale == 1 else _normalise([_rescale(grey, scale) for grey in greys], _FINE)
            pairs = sorted(pair for pair, overlap in overlaps.items() if scale == 1 or overlap >= MIN_OVERLAP)
            if scale != 1:
                pairs += [(j, i) for i, j in pairs]
            for (i, j), registration in _register_all(pairs, scaled, fine, threads):
                key, registration = (min(i, j), max(i, j)), registration._replace(scale=scale)
                best[key] = max(best.get(key, registration), registration)
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


def coarse_pairs(greys: Sequence[np.ndarray]) -> dict[tuple[int, int], float]:
    """Pairs of images that agree somewhere, at a sixth of the resolution: all pairs are looked at, at all shifts.

    The normalised correlation at a shift is the product of both images over the root of the energies of what each
    shows inside the other. Products and energies are correlations, so all of them come from spectra, and the energies
    depend on the other image's size alone: images of one size share them.

    Args:
        greys: uint8 [height, width] images.

    Returns:
        (i, j) with i < j -> the share, 0-1, of the smaller image in which both overlap where they agree best.
    """
    if len(greys) < 2:
        return {}
    images = _normalise(greys, _COARSE)
    order = sorted(range(len(images)), key=lambda index: images[index].shape)
    found = _CoarseSearch([images[index] for index in order]).pairs()
    return {(min(order[i], order[j]), max(order[i], order[j])): overlap for i, j, overlap in found}


class _CoarseSearch:
    """Correlations of images that are sorted by their sizes."""

    def __init__(self, images: Sequence[np.ndarray]):
        # Shifts beyond three quarters of a side are not looked at, so spectra of this size do not wrap around, but
        # for a few of the largest images.
        usual = np.percentile([side for image in images for side in image.shape], 95)
        self._side = fft.next_fast_len(math.ceil((2 - MIN_PART) * usual), real=True)
        sizes = sorted({image.shape for image in images})
        self._size_of = np.array([sizes.index(image.shape) for image in images])
        self._areas = np.array([height * width for height, width in sizes], np.float32)
        self._spectra = self._transform(images)
        self._square_spectra = self._transform([image * image for image in images])
        self._frame_spectra = self._transform([np.ones(size, np.float32) for size in sizes])

    def pairs(self) -> Iterator[tuple[int, int, float]]:
        """Pairs that reach `COARSE_THRESHOLD`: both positions, the lower one first, and the overlap."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            for size, frame in enumerate(self._frame_spectra):
                members = np.flatnonzero(self._size_of == size)
                overlaps = np.rint(self._correlate(frame, self._frame_spectra))
                overlaps /= np.minimum(self._areas[size], self._areas)[:, None, None]
                behind = self._square_spectra[members[0] :]
                blocks = [behind[start : start + _BLOCK] for start in range(0, len(behind), _BLOCK)]
                others = np.concatenate(list(threads.map(functools.partial(self._inverse_root, frame), blocks)))
                of_one = functools.partial(self._pairs_of, overlaps=overlaps, others=others)
                yield from itertools.chain.from_iterable(threads.map(of_one, members))

    def _pairs_of(self, index: int, *, overlaps: np.ndarray, others: np.ndarray) -> list[tuple[int, int, float]]:
        """Pairs of an image with those behind it.

        Args:
            index: position of the image.
            overlaps: [num_sizes, side, side], at every shift against an image of every size.
            others: [num_behind, side, side], over the root of the energy inside this image's frame; the last ones.
        """
        own = self._inverse_root(self._square_spectra[index], self._frame_spectra)
        own[overlaps < MIN_PART - 0.01] = 0  # at this resolution a side is rounded
        first = len(self._spectra) - len(others)
        found = []
        for start in range(index + 1, len(self._spectra), _BLOCK):
            sizes = self._size_of[start : start + _BLOCK]
            correlation = self._correlate(self._spectra[index], self._spectra[start : start + _BLOCK])
            correlation *= others[start - first : start - first + _BLOCK]
            correlation *= own[sizes]
            correlation = correlation.reshape(len(correlation), -1)
            place = correlation.argmax(axis=1)
            for number in np.flatnonzero(correlation[np.arange(len(place)), place] >= COARSE_THRESHOLD):
                overlap = overlaps[sizes[number]].flat[place[number]]
                found.append((int(index), start + int(number), float(overlap)))
        return found

    def _transform(self, images: Sequence[np.ndarray]) -> np.ndarray:
        canvas = np.zeros((len(images), self._side, self._side), np.float32)
        for image, padded in zip(images, canvas, strict=True):
            part = image[: self._side, : self._side]
            padded[: part.shape[0], : part.shape[1]] = part
        return np.conj(fft.rfft2(canvas))

    def _correlate(self, spectrum: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Of one conjugate spectrum with others: of the single one, which is conjugated again, not of each other."""
        return fft.irfft2(np.conj(spectrum) * others, (self._side, self._side))

    def _inverse_root(self, spectrum: np.ndarray, others: np.ndarray) -> np.ndarray:
        return 1 / np.sqrt(np.maximum(self._correlate(spectrum, others), _ENERGY_FLOOR))


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
    table[1:, 1:] = np.cumsum(np.cumsum(np.square(image, dtype=np.float64), axis=0), axis=1)
    (top, bottom), (left, right) = rows, columns
    return (
        table[np.ix_(bottom, right)]
        - table[np.ix_(top, right)]
        - table[np.ix_(bottom, left)]
        + table[np.ix_(top, left)]
    )
