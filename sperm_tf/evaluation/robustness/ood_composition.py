"""Images that do not show one cell of the usual size: several cells, a cell that is far too small or far too large.

All are made of the dataset's own crops, so colours, textures and contrast are those that the network knows. The ground
around them is either flat, in the crop's median colour, as programs fill a margin, or has the colour and the noise of
the crop's calmest corner, with a soft transition, as a wider crop of the same slide would.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

_SOFT_SHARE = 12  # the transition to the ground is a twelfth of a crop wide
_CORNER_SHARE = 6
_FIELD_SIDES, _FIELD_CELLS = 4, 9  # a field is four crops wide and shows nine cells
_MAX_FIELD_SIDE = 1024  # pixels
_GRAIN_SIDE = 192  # pixels of ground that are drawn; a larger square repeats them in a mirror

_Draw = Callable[[Sequence[np.ndarray], np.random.Generator], np.ndarray]


class Composition(NamedTuple):
    """A kind of image.

    Attributes:
        num_crops: how many crops one is made of.
        draw: makes an image, uint8 [H, W, 3], of so many crops, uint8 [h, w, 3] each, and a generator.
    """

    num_crops: int
    draw: _Draw


def _side_by_side(crops: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """In one row, on the first one's median colour."""
    del rng
    height, width = max(crop.shape[0] for crop in crops), sum(crop.shape[1] for crop in crops)
    canvas, left = _flat(crops[0], height, width), 0
    for crop in crops:
        _paste(canvas, crop, (height - crop.shape[0]) // 2, left)
        left += crop.shape[1]
    return canvas


def _stacked(crops: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """One below the other."""
    return np.ascontiguousarray(_side_by_side([crop.transpose(1, 0, 2) for crop in crops], rng).transpose(1, 0, 2))


def _diagonal(crops: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """From the upper left to the lower right."""
    del rng
    canvas = _flat(crops[0], sum(crop.shape[0] for crop in crops), sum(crop.shape[1] for crop in crops))
    top = left = 0
    for crop in crops:
        _paste(canvas, crop, top, left)
        top, left = top + crop.shape[0], left + crop.shape[1]
    return canvas


def _tiles(crops: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Four of one size, as a contact sheet shows them."""
    del rng
    height, width = crops[0].shape[:2]
    tiles = [_resize(crop, height, width) for crop in crops]
    return np.concatenate([np.concatenate(tiles[row : row + 2], axis=1) for row in (0, 2)])


def _field(crops: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A microscope field: cells in any direction at any place, on the first one's ground."""
    side = min(_FIELD_SIDES * max(crops[0].shape[:2]), _MAX_FIELD_SIDE)
    canvas = _ground(crops[0], side, rng)
    for crop in crops:
        turned = np.rot90(_shrink(crop, side // _FIELD_SIDES), int(rng.integers(4)))
        top, left = (int(rng.integers(side - length + 1)) for length in turned.shape[:2])
        _blend(canvas, turned, top, left)
    return canvas


def _flat_margin(crops: Sequence[np.ndarray], rng: np.random.Generator, *, factor: int) -> np.ndarray:
    """In the middle of a square whose side is a multiple of the crop's larger side, in its median colour."""
    del rng
    (crop,) = crops
    side = factor * max(crop.shape[:2])
    canvas = _flat(crop, side, side)
    _paste(canvas, crop, (side - crop.shape[0]) // 2, (side - crop.shape[1]) // 2)
    return canvas


def _noisy_margin(crops: Sequence[np.ndarray], rng: np.random.Generator, *, factor: int) -> np.ndarray:
    """The same on the crop's ground, without an edge."""
    (crop,) = crops
    side = factor * max(crop.shape[:2])
    canvas = _ground(crop, side, rng)
    _blend(canvas, crop, (side - crop.shape[0]) // 2, (side - crop.shape[1]) // 2)
    return canvas


def _enlarged(crops: Sequence[np.ndarray], rng: np.random.Generator, *, factor: int) -> np.ndarray:
    """The middle of a crop, at the crop's size."""
    del rng
    (crop,) = crops
    height, width = crop.shape[:2]
    side = max(1, min(max(height, width) // factor, height, width))
    top, left = (height - side) // 2, (width - side) // 2
    return _resize(crop[top : top + side, left : left + side], max(height, width), max(height, width))


def _flat(crop: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.median(crop, axis=(0, 1)).round().astype(np.uint8), (height, width, 3)).copy()


def _ground(crop: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A square with the mean and the spectrum of the calmest corner: noise whose grain is the slide's."""
    length = max(2, min(crop.shape[:2]) // _CORNER_SHARE)
    corners = [crop[rows, columns] for rows in _ends(length) for columns in _ends(length)]
    corner = min(corners, key=lambda pixels: float(pixels.std(axis=(0, 1)).sum())).astype(np.float64)
    mean, deviation = corner.mean(axis=(0, 1)), corner.std(axis=(0, 1))
    shape = (min(side, _GRAIN_SIDE),) * 2
    spectrum = np.abs(np.fft.rfft2(corner - mean, s=shape, axes=(0, 1)))
    phases = np.fft.rfft2(rng.normal(size=shape))[..., None]
    noise = np.fft.irfft2(spectrum * phases, s=shape, axes=(0, 1))
    ground = _to_uint8(mean + noise * (deviation / np.maximum(noise.std(axis=(0, 1)), 1e-9)))
    return np.pad(ground, ((0, side - shape[0]), (0, side - shape[1]), (0, 0)), mode="symmetric")


def _ends(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)


def _paste(canvas: np.ndarray, crop: np.ndarray, top: int, left: int) -> None:
    canvas[top : top + crop.shape[0], left : left + crop.shape[1]] = crop


def _blend(canvas: np.ndarray, crop: np.ndarray, top: int, left: int) -> None:
    """Lays a crop onto the ground with a soft border."""
    edges = [np.minimum(np.arange(length), np.arange(length)[::-1]) for length in crop.shape[:2]]
    soft = max(1, min(crop.shape[:2]) // _SOFT_SHARE)
    weight = np.clip(np.minimum(edges[0][:, None], edges[1][None]) / soft, 0, 1)[..., None]
    below = canvas[top : top + crop.shape[0], left : left + crop.shape[1]]
    _paste(canvas, _to_uint8(weight * crop + (1 - weight) * below), top, left)


def _shrink(crop: np.ndarray, side: int) -> np.ndarray:
    """So that its larger side is at most `side`."""
    share = min(1.0, side / max(crop.shape[:2]))
    height, width = (max(1, round(share * length)) for length in crop.shape[:2])
    return _resize(crop, height, width)


def _resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


COMPOSITIONS: dict[str, Composition] = {
    "two_side_by_side": Composition(2, _side_by_side),
    "two_stacked": Composition(2, _stacked),
    "two_diagonal": Composition(2, _diagonal),
    "three_in_a_row": Composition(3, _side_by_side),
    "four_tiles": Composition(4, _tiles),
    "microscope_field": Composition(_FIELD_CELLS, _field),
    **{f"flat_margin_{factor}": Composition(1, functools.partial(_flat_margin, factor=factor)) for factor in (2, 3, 4)},
    **{f"noisy_margin_{factor}": Composition(1, functools.partial(_noisy_margin, factor=factor)) for factor in (2, 4)},
    **{f"enlarged_{factor}": Composition(1, functools.partial(_enlarged, factor=factor)) for factor in (2, 3)},
}
"""Name -> how an image of that kind is made; a number is how many times too small or too large the cell is."""
