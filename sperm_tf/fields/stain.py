"""How strongly a field is stained: its distance from the colour of the slide."""

from __future__ import annotations

import dataclasses

import numpy as np

GREEN, RGB = CHANNELS = ("green", "rgb")
"""Light that is missing in green, which the dyes of the head take away; Euclidean distance in red, green and blue."""
MEDIAN, MODE, LOCAL = BACKGROUNDS = ("median", "mode", "local")
"""Median and most frequent value of each channel; mean of the empty slide around each pixel, for uneven light."""
_STEP = 8  # pixels between samples of the local background, which is smooth
_EMPTY_SHARE = 0.6  # of Otsu's threshold: what lies below it is slide beyond doubt
_WINDOW = 3.0  # side of the window of the local median, in lengths of a head, which covers a twentieth of it
_NEIGHBOURHOOD = 1.5  # deviation of the Gaussian window of the local background, in lengths of a head
_TRUNCATE = 4.0  # of Gaussian windows, in deviations
_PRIOR = 0.01  # weight of the local median where nothing near is empty


@dataclasses.dataclass(frozen=True)
class FieldPart:
    """A part of a field, with what has to be known of the whole field for its stain to be the same.

    Attributes:
        y0: its first row, a multiple of 8 as the samples of the background.
        x0: its first column, such a multiple, too.
        shape: height and width of the field.
        empty_otsu: Otsu's threshold on the field's `measure_sample_distances`.
    """

    y0: int
    x0: int
    shape: tuple[int, int]
    empty_otsu: float


@dataclasses.dataclass(frozen=True, eq=False)
class Stain:
    """A field, seen as dye on a slide.

    Attributes:
        colours: float32 [H, W, 3], the smoothed field.
        background: float32 [H, W, 3], what the slide would be there.
        amount: float32 [H, W], 0 on the slide, levels of 0-255.
    """

    colours: np.ndarray
    background: np.ndarray
    amount: np.ndarray

    def cut(self, place: tuple[slice, slice]) -> Stain:
        """The stain of a part."""
        return Stain(self.colours[place], self.background[place], self.amount[place])


def measure_stain(
    pixels: np.ndarray,
    *,
    smoothing_px: float,
    head_px: float,
    channel: str,
    background: str,
    part: FieldPart | None = None,
) -> Stain:
    """Measures the stain.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        smoothing_px: deviation of the Gaussian against the camera's noise.
        head_px: length of a head.
        channel: of `CHANNELS`.
        background: of `BACKGROUNDS`.
        part: where the pixels are a part of a field; only the background `LOCAL` is then that of the field, as far as
            `background_reach_px` from what is cut off.
    """
    colours = _smooth(pixels, smoothing_px)
    slide = _find_background(pixels, colours, head_px, background, part)
    if channel == GREEN:
        amount = np.maximum(slide[..., 1] - colours[..., 1], 0)
    else:
        amount = np.linalg.norm(colours - slide, axis=2)
    return Stain(colours, np.broadcast_to(slide, colours.shape), amount)


def measure_sample_distances(pixels: np.ndarray, *, smoothing_px: float, head_px: float) -> np.ndarray:
    """Distance of every eighth pixel from the local median, which tells what is not stained.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        smoothing_px: as for `measure_stain`.
        head_px: as for `measure_stain`.

    Returns:
        float32 [ceil(H / 8), ceil(W / 8)], levels of 0-255.
    """
    return _sample(_smooth(pixels, smoothing_px), head_px)[2]


def background_reach_px(*, smoothing_px: float, head_px: float) -> int:
    """How far from a pixel those lie on which its background depends, where it is `LOCAL`."""
    samples = round(_TRUNCATE * _NEIGHBOURHOOD * head_px / _STEP) + _median_window(head_px) // 2 + 3
    return samples * _STEP + round(_TRUNCATE * smoothing_px) + 1


def _smooth(pixels: np.ndarray, smoothing_px: float) -> np.ndarray:
    from skimage import filters

    return filters.gaussian(pixels.astype(np.float32), smoothing_px, channel_axis=2, preserve_range=True)


def _find_background(
    pixels: np.ndarray, colours: np.ndarray, head_px: float, kind: str, part: FieldPart | None
) -> np.ndarray:
    """The slide's colour, float32 [3], or [H, W, 3] where it is local."""
    if kind == LOCAL:
        return _average_nearby(colours, head_px, part)
    if kind == MODE:
        counts = [np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(3)]
        return np.array([count.argmax() for count in counts], np.float32)
    return np.median(pixels[::3, ::3].reshape(-1, 3), axis=0).astype(np.float32)


def _average_nearby(colours: np.ndarray, head_px: float, part: FieldPart | None) -> np.ndarray:
    """Normalised convolution of what is not stained (Knutsson and Westin 1993, CVPR), which a local median tells."""
    from scipy import ndimage
    from skimage import filters

    samples, median, distance = _sample(colours, head_px)
    otsu = filters.threshold_otsu(distance) if part is None else part.empty_otsu
    empty = (distance < _EMPTY_SHARE * otsu).astype(np.float32)
    deviation = _NEIGHBOURHOOD * head_px / _STEP
    weight = ndimage.gaussian_filter(empty, deviation, mode="nearest", truncate=_TRUNCATE)[..., None] + _PRIOR
    total = ndimage.gaussian_filter(
        samples * empty[..., None], (deviation, deviation, 0), mode="nearest", truncate=_TRUNCATE
    )
    slide = (total + _PRIOR * median) / weight
    height, width = colours.shape[:2]
    y0, x0, whole = (0, 0, (height, width)) if part is None else (part.y0, part.x0, part.shape)
    return _enlarge(_enlarge(slide, 0, y0, height, whole[0]), 1, x0, width, whole[1])


def _sample(colours: np.ndarray, head_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples of the colours, their local median, and the distance of both."""
    from scipy import ndimage

    samples = colours[::_STEP, ::_STEP]
    window = _median_window(head_px)
    median = ndimage.median_filter(samples, size=(window, window, 1), mode="nearest")
    return samples, median, np.linalg.norm(samples - median, axis=2)


def _median_window(head_px: float) -> int:
    return max(3, round(_WINDOW * head_px / _STEP))


def _enlarge(samples: np.ndarray, axis: int, first: int, count: int, side: int) -> np.ndarray:
    """Values of pixels between samples along an axis, by linear interpolation; those of a part are the whole's.

    Args:
        samples: float32, those of the part.
        axis: 0 or 1.
        first: the part's first pixel.
        count: its pixels.
        side: of the whole field, in pixels.
    """
    number = -(-side // _STEP)
    place = np.clip((np.arange(first, first + count) + 0.5) * (number / side) - 0.5, 0, number - 1)
    before = place.astype(int)
    share = np.expand_dims((place - before).astype(np.float32), (1, 2) if axis == 0 else (0, 2))
    last = samples.shape[axis] - 1  # behind it lies what is cut off
    low, high = (np.clip(at - first // _STEP, 0, last) for at in (before, before + 1))
    below, above = np.take(samples, low, axis=axis), np.take(samples, high, axis=axis)
    return below + share * (above - below)
