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
_PRIOR = 0.01  # weight of the local median where nothing near is empty


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


def measure_stain(pixels: np.ndarray, *, smoothing_px: float, head_px: float, channel: str, background: str) -> Stain:
    """Measures the stain.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        smoothing_px: deviation of the Gaussian against the camera's noise.
        head_px: length of a head.
        channel: of `CHANNELS`.
        background: of `BACKGROUNDS`.
    """
    from skimage import filters

    colours = filters.gaussian(pixels.astype(np.float32), smoothing_px, channel_axis=2, preserve_range=True)
    slide = _find_background(pixels, colours, head_px, background)
    if channel == GREEN:
        amount = np.maximum(slide[..., 1] - colours[..., 1], 0)
    else:
        amount = np.linalg.norm(colours - slide, axis=2)
    return Stain(colours, np.broadcast_to(slide, colours.shape), amount)


def _find_background(pixels: np.ndarray, colours: np.ndarray, head_px: float, kind: str) -> np.ndarray:
    """The slide's colour, float32 [3], or [H, W, 3] where it is local."""
    if kind == MODE:
        counts = [np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(3)]
        return np.array([count.argmax() for count in counts], np.float32)
    median = np.median(pixels[::3, ::3].reshape(-1, 3), axis=0).astype(np.float32)
    return _average_nearby(colours, head_px) if kind == LOCAL else median


def _average_nearby(colours: np.ndarray, head_px: float) -> np.ndarray:
    """Normalised convolution of what is not stained (Knutsson and Westin 1993, CVPR), which a local median tells."""
    from scipy import ndimage
    from skimage import filters, transform

    samples = colours[::_STEP, ::_STEP]
    window = max(3, round(_WINDOW * head_px / _STEP))
    median = ndimage.median_filter(samples, size=(window, window, 1), mode="nearest")
    distance = np.linalg.norm(samples - median, axis=2)
    empty = (distance < _EMPTY_SHARE * filters.threshold_otsu(distance)).astype(np.float32)
    deviation = _NEIGHBOURHOOD * head_px / _STEP
    weight = ndimage.gaussian_filter(empty, deviation, mode="nearest")[..., None] + _PRIOR
    total = ndimage.gaussian_filter(samples * empty[..., None], (deviation, deviation, 0), mode="nearest")
    slide = (total + _PRIOR * median) / weight
    return transform.resize(slide, colours.shape, order=1, mode="edge", preserve_range=True).astype(np.float32)
