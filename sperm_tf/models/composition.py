"""The composition of an image: where on it something lies, and how finely its middle is drawn.

A crop shows one cell in its middle, about as large as those of the training images. Early-layer means and deviations
(`sperm_tf.models.style`) do not say where on the image they were seen, so two cells side by side, a cell that is far
too small and a whole microscope field look to them much like one cell with neighbours. Twelve numbers of the pixels
tell them apart:

* seven of the radial profile: how far the colour is from the ground's, on average over each of six rings around the
  middle and over the corners. Two cells leave the middle empty, a small one leaves the outer rings empty;
* five of the detail in the middle: the energy of the Haar wavelet's bands, from details of 2 pixels to those of 32. A
  cell that is enlarged has little fine detail, one that is too small little coarse detail.

They are the same for all eight views of an image (`sperm_tf.models.views`), up to rounding, and need no network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

SIDE = 128
"""Side in pixels at which images are measured, so that one scale means the same to models of every input size."""
_COARSE_SIDE = 32
_NUM_RINGS = 6
_NUM_BANDS = 5
_MIDDLE = 0.5  # radius of the middle; 1 is half the side
NUM_NUMBERS = _NUM_RINGS + 1 + _NUM_BANDS
"""Length of a composition."""
_GROUND_NOISE = 0.003  # colour distance, 0-1, below which ground is ground: under one grey level
_BAND_NOISE = 1e-5  # the same for the energy of a band


def summarize_composition(images: Any) -> Any:
    """Radial profile of the foreground and detail in the middle, as natural logarithms.

    Args:
        images: [B, h, w, 3], RGB, 0-255; resized to `SIDE` where they have another size.

    Returns:
        float32 [B, `NUM_NUMBERS`]: the mean colour distance from the ground (0-1 times the square root of 3) on each
        ring, from the innermost to the corners; then half the logarithm of the mean energy of each band, from the
        finest to the coarsest.
    """
    pixels = ops.cast(images, "float32")
    if tuple(pixels.shape[1:3]) != (SIDE, SIDE):
        pixels = _resize(pixels)
    pixels = pixels / 255.0
    return ops.concatenate([_radial_profile(pixels), _detail_bands(pixels)], axis=1)


def _resize(pixels: Any) -> Any:
    """As `keras.ops.image.resize` with antialiasing, which ONNX and LiteRT lack: a matrix product for each axis."""
    height, width = pixels.shape[1:3]
    rows, columns = _resizing_weights(height), _resizing_weights(width)
    tall = ops.reshape(ops.matmul(rows, ops.reshape(pixels, (-1, height, width * 3))), (-1, SIDE, width, 3))
    flat = ops.reshape(ops.transpose(tall, (0, 2, 1, 3)), (-1, width, SIDE * 3))
    return ops.transpose(ops.reshape(ops.matmul(columns, flat), (-1, SIDE, SIDE, 3)), (0, 2, 1, 3))


def _resizing_weights(size: int) -> np.ndarray:
    """What each of `SIDE` samples is made of, float32 [SIDE, size]: a triangle at least two pixels wide."""
    step = size / SIDE
    centres = (np.arange(SIDE) + 0.5) * step - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(size) - centres[:, None]) / max(step, 1.0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _radial_profile(pixels: Any) -> Any:
    """Most of a crop is ground: its colour is the median of each channel."""
    coarse = ops.mean(_split_blocks(pixels, SIDE // _COARSE_SIDE), axis=(2, 4))
    coarse = ops.reshape(coarse, (-1, _COARSE_SIDE**2, 3))
    half = _COARSE_SIDE**2 // 2
    # The median, the mean of the two in the middle; `ops.median` has operations that ONNX and LiteRT lack.
    brightest = ops.top_k(ops.transpose(coarse, (0, 2, 1)), half + 1)[0]
    ground = ops.mean(brightest[:, None, :, half - 1 :], axis=-1)
    distance = ops.sqrt(ops.sum(ops.square(coarse - ground), axis=-1))
    return ops.log(ops.matmul(distance, _ring_weights()) + _GROUND_NOISE)


def _detail_bands(pixels: Any) -> Any:
    bands = []
    for _ in range(_NUM_BANDS):
        blocks = _split_blocks(pixels, 2)
        means = ops.mean(blocks, axis=(2, 4), keepdims=True)
        side = 2 * blocks.shape[1]
        # The channels are summed by the weights, too: sums over three numbers are slow in some runtimes.
        energy = ops.reshape(ops.square(blocks - means), (-1, side**2 * 3))
        bands.append(ops.log(ops.matmul(energy, _middle_weights(side)) + _BAND_NOISE) / 2)
        pixels = ops.squeeze(means, axis=(2, 4))
    return ops.concatenate(bands, axis=1)


def _split_blocks(pixels: Any, size: int) -> Any:
    """[B, S, S, 3] -> [B, S / size, size, S / size, size, 3]."""
    count = pixels.shape[1] // size
    return ops.reshape(pixels, (-1, count, size, count, size, 3))


def _radius(side: int) -> np.ndarray:
    """Distance of every pixel from the middle, float64 [side, side]; 1 is half the side."""
    along = (2 * np.arange(side) + 1 - side) / side
    return np.hypot(along[:, None], along[None])


def _ring_weights() -> np.ndarray:
    """What a mean over each ring weighs every pixel with, float32 [pixels, rings]; the last ring is the corners."""
    ring = np.minimum((_radius(_COARSE_SIDE) * _NUM_RINGS).astype(int), _NUM_RINGS)
    is_member = (ring.reshape(-1, 1) == np.arange(_NUM_RINGS + 1)).astype(np.float32)
    return is_member / is_member.sum(axis=0)


def _middle_weights(side: int) -> np.ndarray:
    """What a mean over the middle weighs every value of three channels with, float32 [pixels x 3, 1]."""
    is_member = (_radius(side) < _MIDDLE).reshape(-1, 1).astype(np.float32)
    return np.repeat(is_member / is_member.sum(), 3, axis=0)
