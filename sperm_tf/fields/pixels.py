"""Pixels of a field, read by regions: those of an open file, of an array, or of either at a smaller size."""

from __future__ import annotations

from typing import Protocol

import numpy as np

_FIXED_BITS = 22
"""Of the weights in Pillow's resampling of 8-bit images: so results are the same to the last bit."""
_BAND_PIXELS = 4_000_000
"""Most pixels that are read at once for a reduced picture."""


class FieldPixels(Protocol):
    """Pixels of a field, such as `sperm_tf.microscopy.ImageReader`.

    Attributes:
        shape: height and width.
    """

    shape: tuple[int, int]

    def read_region(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """A region that lies inside, uint8 [height, width, 3], RGB, 0-255."""


class ArrayPixels:
    """Pixels that are in memory.

    Args:
        pixels: uint8 [H, W, 3].
    """

    def __init__(self, pixels: np.ndarray):
        self._pixels = pixels
        self.shape = pixels.shape[0], pixels.shape[1]

    def read_region(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """A view of a region."""
        return self._pixels[y0 : y0 + height, x0 : x0 + width]


class ReducedPixels:
    """Pixels at a smaller size, each the mean of those that it covers.

    Whatever region is read, its pixels are those of the whole picture after Pillow's `resize` with
    `Resampling.BOX`, whose `box` cannot give them: it rounds to float32.

    Args:
        pixels: of the field.
        size: height and width of the smaller picture, at most those of the field.
    """

    def __init__(self, pixels: FieldPixels, size: tuple[int, int]):
        self._pixels = pixels
        self.shape = size
        self._rows, self._columns = (_covered(full, small) for full, small in zip(pixels.shape, size, strict=True))

    def read_region(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """A region that lies inside, uint8 [height, width, 3], RGB, 0-255."""
        rows, columns = self._rows[:, y0 : y0 + height], self._columns[:, x0 : x0 + width]
        top, left, right = rows[0, 0], columns[0, 0], columns[1, -1]
        full = self._pixels.read_region(int(top), int(left), int(rows[1, -1] - top), int(right - left))
        return _average(_average(full, columns - left, axis=1), rows - top, axis=0)

    def read(self) -> np.ndarray:
        """The whole picture, uint8 [h, w, 3]; of the field some rows at a time are read."""
        height, width = self.shape
        step = max(1, _BAND_PIXELS * height // (self._pixels.shape[0] * self._pixels.shape[1]))
        return np.concatenate(
            [self.read_region(top, 0, min(step, height - top), width) for top in range(0, height, step)]
        )


def read_reduced(pixels: FieldPixels, max_side: int) -> tuple[np.ndarray, float]:
    """A field whose longer side has at most `max_side` pixels, and by what lengths were multiplied.

    Args:
        pixels: of the field.
        max_side: of the picture.

    Returns:
        uint8 [h, w, 3], RGB, and a factor of at most 1.
    """
    scale = min(1.0, max_side / max(pixels.shape))
    if scale == 1:
        return pixels.read_region(0, 0, *pixels.shape), scale
    height, width = (max(1, round(side * scale)) for side in pixels.shape)
    return ReducedPixels(pixels, (height, width)).read(), scale


def _covered(full: int, small: int) -> np.ndarray:
    """First pixel that each pixel of the smaller side covers, and the one behind the last, int [2, small].

    As `precompute_coeffs` of Pillow's Resample.c: a pixel is covered whose centre is.
    """
    scale = full / small
    centres = (np.arange(small) + 0.5) * scale
    first = np.maximum((centres - 0.5 * scale + 0.5).astype(int), 0)
    behind = np.minimum((centres + 0.5 * scale + 0.5).astype(int), full)
    first += (first - centres + 0.5) * (1.0 / scale) <= -0.5
    behind -= (behind - 1 - centres + 0.5) * (1.0 / scale) > 0.5
    return np.stack([first, behind])


def _average(pixels: np.ndarray, covered: np.ndarray, axis: int) -> np.ndarray:
    first, behind = covered
    counts = behind - first
    if (counts == 1).all():
        return np.take(pixels, first, axis=axis)
    ends = np.minimum(covered, pixels.shape[axis] - 1).T.ravel()  # reduceat takes no index behind the last
    sums = np.take(np.add.reduceat(pixels, ends, axis=axis, dtype=np.int32), np.arange(len(first)) * 2, axis=axis)
    last = np.take(pixels, [pixels.shape[axis] - 1], axis=axis)
    reaches_end = np.expand_dims((behind == pixels.shape[axis]) & (counts > 1), tuple({0, 1, 2} - {axis}))
    weights = np.expand_dims((0.5 + (1 << _FIXED_BITS) / counts).astype(np.int64), tuple({0, 1, 2} - {axis}))
    return ((1 << (_FIXED_BITS - 1)) + (sums + reaches_end * last) * weights >> _FIXED_BITS).astype(np.uint8)
