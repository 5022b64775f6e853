"""Reading a field of view: the one place that knows file formats."""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.data.array_preprocess import read_pixels
from sperm_tf.served_names import OK, UNREADABLE


@dataclasses.dataclass(frozen=True, eq=False)
class FieldImage:
    """A field that was read.

    Attributes:
        status: `ok`, or why it has no pixels: `unreadable` or one of `sperm_tf.served_names.STATUSES`.
        pixels: uint8 [H, W, 3], RGB, 0-255; None where the status is not ok.
        pixel_size_um: micrometres a pixel as the file states it; None where it does not.
    """

    status: str
    pixels: np.ndarray | None
    pixel_size_um: float | None = None


def read_field(content: bytes | None) -> FieldImage:
    """Decodes a field: PNG, JPEG, BMP or GIF, none of which states a pixel size that can be trusted.

    Args:
        content: bytes of the file; None where they are not handed out.
    """
    if content is None:
        return FieldImage(UNREADABLE, None)
    status, pixels = read_pixels(content)
    return FieldImage(status, pixels if status == OK else None)
