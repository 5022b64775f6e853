"""Microscope files as pictures that the served model decodes."""

from __future__ import annotations

from sperm_tf.data.decode import UndecodableImageError, encode_png
from sperm_tf.microscopy.reader import read_image
from sperm_tf.microscopy.source import is_microscope_format


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
    return encode_png(read_image(data, plane=plane, name=name).pixels) if is_microscope_format(data) else data


def to_served_if_readable(data: bytes, *, name: str = "") -> bytes:
    """As `to_served`, but what cannot be read comes back unchanged, for a row that says so: no model decodes it.

    Args:
        data: content of a file.
        name: what messages call it.

    Raises:
        ImportError: the package that reads its format is not installed.
    """
    try:
        return to_served(data, name=name)
    except UndecodableImageError:
        return data
