"""Where a file's bytes come from, and which format they are: told by the content, never by the name."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

Source = str | os.PathLike[str] | bytes
TIFF, DICOM, CZI, ND2, PICTURE = "TIFF", "DICOM", "CZI", "ND2", "picture"
"""Formats as far as the first bytes tell; a picture is a file for the project's decoder: PNG, JPEG, BMP, GIF."""
HEAD_LENGTH = 132
"""Bytes that tell the format; DICOM's mark stands at 128."""
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DICOM_MAGIC, _DICOM_AT = b"DICM", 128
_CZI_MAGIC = b"ZISRAWFILE"
_ND2_MAGIC = b"\xda\xce\xbe\x0a"
BYTES_NAME = "the bytes"


def find_format(head: bytes) -> str:
    """The format of a file by its first bytes.

    Args:
        head: the first `HEAD_LENGTH` bytes, or more.

    Returns:
        `TIFF`, `DICOM`, `CZI` or `ND2`; `picture` for anything else.
    """
    if head.startswith(_TIFF_MAGIC):
        return TIFF
    if head.startswith(_CZI_MAGIC):
        return CZI
    if head.startswith(_ND2_MAGIC):
        return ND2
    return DICOM if head[_DICOM_AT : _DICOM_AT + len(_DICOM_MAGIC)] == _DICOM_MAGIC else PICTURE


def is_microscope_format(data: bytes) -> bool:
    """Whether bytes are of a format that `read_image` reads and the served model does not: TIFF, DICOM, CZI, ND2."""
    return find_format(data[:HEAD_LENGTH]) != PICTURE


def name_of(source: Source, name: str = "") -> str:
    """How messages call a source: the given name, the path, or `the bytes`."""
    return name or (BYTES_NAME if isinstance(source, bytes) else os.fsdecode(source))


def open_bytes(source: Source) -> BinaryIO:
    """The content of a source, opened; the caller closes it.

    Raises:
        OSError: a path cannot be opened.
    """
    return io.BytesIO(source) if isinstance(source, bytes) else pathlib.Path(source).open("rb")


@contextlib.contextmanager
def as_path(source: Source, suffix: str) -> Iterator[pathlib.Path]:
    """The path of a source for a library that opens nothing else; bytes are written to a temporary file.

    Args:
        source: a path or bytes.
        suffix: of the temporary file.
    """
    if not isinstance(source, bytes):
        yield pathlib.Path(source)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"image{suffix}"
        path.write_bytes(source)
        yield path
