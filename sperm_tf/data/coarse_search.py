"""All pairs of images at all shifts, at a sixth of the resolution: which of them may show one field of view.

The normalised correlation at a shift is the product of both images over the root of the energies of what each shows
inside the other. Products and energies are correlations, so all of them come from spectra, and the energies depend on
the other image's size alone: images of one size share them.
"""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import fft

from sperm_tf.data.local_contrast import normalise_contrast

MIN_PART = 0.25
"""Least overlap of two images that is looked at, as a share of the smaller one."""
COARSE_THRESHOLD = 0.58
"""Lowest correlation that is worth a registration."""
_REDUCTION, _SIGMA = 6, 15 / 6
_MIN_OVERLAP = MIN_PART - 0.01  # at this resolution a side is rounded
_BLOCK = 32  # spectra that are multiplied at once: what a cache holds
_ENERGY_FLOOR = 1e-3


class CoarsePair(NamedTuple):
    """Where two images agree best.

    Attributes:
        correlation: inside the overlap, -1 to 1.
        overlap: share, 0-1, of the smaller image.
    """

    correlation: float
    overlap: float


def find_coarse_pairs(greys: Sequence[np.ndarray]) -> dict[tuple[int, int], CoarsePair]:
    """Pairs of images that agree somewhere, at a sixth of the resolution: all pairs are looked at, at all shifts.

    Args:
        greys: uint8 [height, width] images.

    Returns:
        (i, j) with i < j -> how they agree; by position.
    """
    if len(greys) < 2:
        return {}
    images = [normalise_contrast(grey, reduction=_REDUCTION, sigma=_SIGMA) for grey in greys]
    order = sorted(range(len(images)), key=lambda index: images[index].shape)
    found = _CoarseSearch([images[index] for index in order]).pairs()
    return {(min(order[i], order[j]), max(order[i], order[j])): pair for i, j, pair in found}


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

    def pairs(self) -> Iterator[tuple[int, int, CoarsePair]]:
        """Pairs that reach `COARSE_THRESHOLD`: both positions, the lower one first, and how they agree."""
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

    def _pairs_of(self, index: int, *, overlaps: np.ndarray, others: np.ndarray) -> list[tuple[int, int, CoarsePair]]:
        """Pairs of an image with those behind it.

        Args:
            index: position of the image.
            overlaps: [num_sizes, side, side], at every shift against an image of every size.
            others: [num_behind, side, side], over the root of the energy inside this image's frame; the last ones.
        """
        own = self._inverse_root(self._square_spectra[index], self._frame_spectra)
        own[overlaps < _MIN_OVERLAP] = 0
        first = len(self._spectra) - len(others)
        found = []
        for start in range(index + 1, len(self._spectra), _BLOCK):
            sizes = self._size_of[start : start + _BLOCK]
            correlation = self._correlate(self._spectra[index], self._spectra[start : start + _BLOCK])
            correlation *= others[start - first : start - first + _BLOCK]
            correlation *= own[sizes]
            correlation = correlation.reshape(len(correlation), -1)
            place = correlation.argmax(axis=1)
            best = correlation[np.arange(len(place)), place]
            for number in np.flatnonzero(best >= COARSE_THRESHOLD):
                overlap = overlaps[sizes[number]].flat[place[number]]
                found.append((int(index), start + int(number), CoarsePair(float(best[number]), float(overlap))))
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
