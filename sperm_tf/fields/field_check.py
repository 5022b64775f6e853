"""Tells a whole field of view from a crop of one cell, so that a field is not classified as if it were one cell."""

from __future__ import annotations

import numpy as np

MIN_FIELD_SIDE = 384
"""Shorter side in pixels from which on an image is looked at; the crops of SMIDS and HuSHeM have at most 264."""
REMEDY = "this looks like a field of view: use pipelines.fields, which finds the cells"
_WORK_SIDE = 384
_CELL_RADIUS = 0.04  # of the largest circle in a region, by the shorter side: a crop's head has more, a field's less
_SPECK_RADIUS = 0.02  # what is smaller is no head in either
_MAX_SMALL = 3  # regions of the size of a field's heads that may lie beside the cell of a crop


def looks_like_field(pixels: np.ndarray) -> bool:
    """Whether an image is a field of view rather than a crop of one cell.

    A small image is a crop. A large one is a crop where one region of stain is as large as the head in a crop, and
    hardly one is there of the size of a field's heads; all other large images, empty ones among them, are fields.

    Args:
        pixels: uint8 [H, W, 3], RGB, 0-255.
    """
    if min(pixels.shape[:2]) < MIN_FIELD_SIDE:
        return False
    radii = _inner_radii(pixels)
    has_cell = bool((radii >= _CELL_RADIUS).any())
    num_small = int(np.count_nonzero((radii >= _SPECK_RADIUS) & (radii < _CELL_RADIUS)))
    return not has_cell or num_small > _MAX_SMALL


def file_looks_like_field(content: bytes) -> bool:
    """Whether a file holds a field of view; False where it cannot be decoded. Small images are told by their header.

    Args:
        content: bytes of a PNG, JPEG, BMP or GIF file.
    """
    from sperm_tf.data.array_preprocess import read_pixels, read_size

    if min(read_size(content)) < MIN_FIELD_SIDE:
        return False
    _, pixels = read_pixels(content)
    return pixels is not None and looks_like_field(pixels)


def _inner_radii(pixels: np.ndarray) -> np.ndarray:
    """Radius of the largest circle in each region of stain, by the shorter side."""
    from PIL import Image
    from scipy import ndimage
    from skimage import filters, measure

    from sperm_tf.fields.stain import MEDIAN, RGB, measure_stain

    height, width = pixels.shape[:2]
    scale = _WORK_SIDE / min(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    work = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
    stain = measure_stain(work, smoothing_px=1.0, head_px=1.0, channel=RGB, background=MEDIAN)
    mask = ndimage.binary_fill_holes(stain.amount > filters.threshold_otsu(stain.amount))
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] / _WORK_SIDE
    return np.array([region.intensity_max for region in measure.regionprops(measure.label(mask), distance)])
