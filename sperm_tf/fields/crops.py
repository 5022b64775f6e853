"""Crops of cells, cut as the classifier's training images are."""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.fields.found import FoundHead
from sperm_tf.fields.pixels import FieldPixels

CROP_PER_HEAD = 3.2
"""Side of a crop by the length of its head, as the finder measures it, at which crops of found cells are as wide as
those of SMIDS; docs/fields.md says how it was measured."""
_OF_DATASET = {"hushem": 2.6}
"""The same of other datasets."""
MIN_CROP_PX = 16
"""Smallest side, that of the smallest image that the classifier reads."""


def find_crop_per_head(dataset: str) -> float:
    """Side of a crop by the length of its head, as in the images of a dataset; that of SMIDS where none is known."""
    return _OF_DATASET.get(dataset, CROP_PER_HEAD)


@dataclasses.dataclass(frozen=True, eq=False)
class CellCrop:
    """A crop with a head in its middle.

    Attributes:
        pixels: uint8 [S, S, 3], RGB, 0-255.
        crop_x0: first column in pixels of the field; below 0 where the crop reaches over the border.
        crop_y0: first row.
        padded_share: 0-1, share of the crop that lies outside the field, and repeats the field's edge.
    """

    pixels: np.ndarray
    crop_x0: int
    crop_y0: int
    padded_share: float


def cut_crop(pixels: FieldPixels, head: FoundHead, *, per_head: float = CROP_PER_HEAD) -> CellCrop:
    """Cuts a square crop around the middle of a head's box, at the field's own resolution.

    Where it reaches over the border, the edge of the field is repeated, as `sperm_tf.data.preprocess` pads images that
    are no squares: the head stays in the middle.

    Args:
        pixels: of the field.
        head: of this field.
        per_head: side of the crop by the head's length.
    """
    height, width = pixels.shape
    side = max(MIN_CROP_PX, round(per_head * head.length_px))
    x0 = round((head.head_x0 + head.head_x1 - side) / 2)
    y0 = round((head.head_y0 + head.head_y1 - side) / 2)
    rows = np.clip(np.arange(y0, y0 + side), 0, height - 1)
    columns = np.clip(np.arange(x0, x0 + side), 0, width - 1)
    inside = (min(height, y0 + side) - max(0, y0)) * (min(width, x0 + side) - max(0, x0))
    top, left, bottom, right = (int(edge) for edge in (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1))
    window = pixels.read_region(top, left, bottom - top, right - left)
    return CellCrop(window[rows[:, None] - top, columns - left], x0, y0, 1 - inside / side**2)
