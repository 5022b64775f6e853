"""Regions of stain in a field: opening, parting of heads that touch, growth to their outline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def open_by_disk(mask: np.ndarray, radius_px: float) -> np.ndarray:
    """Morphological opening by a disk, of any radius in the same time, by two Euclidean distance transforms.

    Each connected part is opened by itself, since a disk that fits into the mask lies in one of them. What reaches the
    edge of the field is taken to go on behind it.

    Args:
        mask: bool [H, W].
        radius_px: of the disk.

    Returns:
        bool [H, W].
    """
    from scipy import ndimage

    margin = int(np.ceil(radius_px)) + 1
    padded = np.pad(mask, margin, mode="edge")
    opened = np.zeros_like(padded)
    labels, _ = ndimage.label(padded)
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        around = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in place)
        is_narrow = min(side.stop - side.start for side in place) < 2 * radius_px - 1
        is_inside = all(side.start > 0 and side.stop < length for side, length in zip(place, labels.shape, strict=True))
        if is_narrow and is_inside:
            continue  # no disk fits
        part = labels[around] == number
        inside = part & (ndimage.distance_transform_edt(padded[around]) > radius_px)
        if inside.any():
            opened[around] |= part & (ndimage.distance_transform_edt(~inside) <= radius_px)
    return opened[margin:-margin, margin:-margin]


def part_by_watershed(mask: np.ndarray, *, smoothing_px: float, depths_px: Sequence[float]) -> np.ndarray:
    """Parts a region along its necks: watershed of the distance to its outline.

    Args:
        mask: bool [H, W].
        smoothing_px: deviation of the Gaussian that smooths the distance.
        depths_px: how much narrower than both parts a neck must be, in distance to the outline: the first that parts
            the region counts.

    Returns:
        int32 [H, W], 1 and up; 0 outside.
    """
    from scipy import ndimage
    from skimage import measure, morphology, segmentation

    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(np.pad(mask, 1)), smoothing_px)[1:-1, 1:-1]
    for depth_px in depths_px:
        markers = measure.label(morphology.h_maxima(distance, depth_px))
        if markers.max() > 1:
            break
    return segmentation.watershed(-distance, markers, mask=mask)


def grow(labels: np.ndarray, mask: np.ndarray, reach_px: float) -> np.ndarray:
    """Grows regions into a mask, each to the pixels that are nearest to it.

    Args:
        labels: int [H, W], 0 outside.
        mask: bool [H, W], where they may grow.
        reach_px: how far.

    Returns:
        int [H, W].
    """
    from skimage import segmentation

    return np.where(mask | (labels > 0), segmentation.expand_labels(labels, reach_px), 0)
