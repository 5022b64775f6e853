"""Reading a field of view: the one place that knows file formats."""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.data.array_preprocess import read_pixels
from sperm_tf.data.decode import UndecodableImageError
from sperm_tf.microscopy import is_microscope_format, read_image
from sperm_tf.served_names import OK, UNDECODABLE, UNREADABLE


@dataclasses.dataclass(frozen=True, eq=False)
class FieldImage:
    """A field that was read.

    Attributes:
        status: `ok`, or why it has no pixels: `unreadable` or one of `sperm_tf.served_names.STATUSES`.
        pixels: uint8 [H, W, 3], RGB, 0-255; None where the status is not ok.
        pixel_size_um: micrometres a pixel as the file states it; None where it does not.
        message: why a microscope's file has no pixels; else empty.
        intensity_mapping: which range of a microscope's file became 0-255; else empty.
    """

    status: str
    pixels: np.ndarray | None
    pixel_size_um: float | None = None
    message: str = ""
    intensity_mapping: str = ""


def read_field(content: bytes | None, *, name: str = "") -> FieldImage:
    """Decodes a field: PNG, JPEG, BMP or GIF, or what `sperm_tf.microscopy` reads.

    Of these the latter alone state a pixel size that can be trusted.

    Args:
        content: bytes of the file; None where they are not handed out.
        name: what messages call it.

    Raises:
        ImportError: the package that reads a microscope's format is not installed.
    """
    if content is None:
        return FieldImage(UNREADABLE, None)
    if is_microscope_format(content):
        try:
            image = read_image(content, name=name)
        except UndecodableImageError as error:
            return FieldImage(UNDECODABLE, None, message=str(error))
        return FieldImage(OK, image.pixels, image.pixel_size_um, intensity_mapping=image.intensity_mapping)
    status, pixels = read_pixels(content)
    return FieldImage(status, pixels if status == OK else None)
