"""Microscope files as pictures that the served model decodes."""

from __future__ import annotations

import dataclasses

from sperm_tf.data.decode import UndecodableImageError, encode_png
from sperm_tf.microscopy.reader import read_image
from sperm_tf.microscopy.source import is_microscope_format


@dataclasses.dataclass(frozen=True)
class ServedPicture:
    """A picture that the served model decodes, and what the file that it was made from says.

    Attributes:
        data: bytes of the picture.
        pixel_size_um: side of a pixel in the specimen, in µm; None where the file does not say.
        intensity_mapping: which range of the file became 0-255; empty for a PNG, JPEG, BMP or GIF.
    """

    data: bytes
    pixel_size_um: float | None = None
    intensity_mapping: str = ""


def to_served(data: bytes, *, name: str = "", plane: int | str | None = None) -> bytes:
    """The bytes of a picture for a file of any format: a PNG of a microscope file, any other unchanged.

    A served model decodes PNG, JPEG, BMP and GIF, so whoever predicts converts first. The conversion is without loss
    but for the mapping of intensities to 8 bits.

    Args:
        data: content of a file.
        name: what messages call it.
        plane: name of a plane, or its place in `list_planes`; needed where the file has several.

    Raises:
        MicroscopyError: the file cannot be read without guessing.
        ImportError: the package that reads its format is not installed.
    """
    return _convert(data, name=name, plane=plane).data


def to_served_if_readable(data: bytes, *, name: str = "") -> bytes:
    """As `to_served`, but what cannot be read comes back unchanged, for a row that says so: no model decodes it.

    Args:
        data: content of a file.
        name: what messages call it.

    Raises:
        ImportError: the package that reads its format is not installed.
    """
    return read_served(data, name=name).data


def read_served(data: bytes, *, name: str = "") -> ServedPicture:
    """As `to_served_if_readable`, with what the file says of its pixels.

    Args:
        data: content of a file.
        name: what messages call it.

    Raises:
        ImportError: the package that reads its format is not installed.
    """
    try:
        return _convert(data, name=name)
    except UndecodableImageError:
        return ServedPicture(data)


def _convert(data: bytes, *, name: str, plane: int | str | None = None) -> ServedPicture:
    if not is_microscope_format(data):
        return ServedPicture(data)
    image = read_image(data, plane=plane, name=name)
    return ServedPicture(encode_png(image.pixels), image.pixel_size_um, image.intensity_mapping)
