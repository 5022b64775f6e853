"""What a classifier takes: paths, the bytes of files, or pixels."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from sperm_tf.data.decode import encode_png

File = bytes | str | os.PathLike | np.ndarray


def batches(files: Any, size: int) -> Iterator[list[File]]:
    """Parts of at most `size` files; one file, or the pixels of one image, may come alone.

    Raises:
        TypeError: something else was given.
    """
    is_one = isinstance(files, bytes | str | os.PathLike) or (_is_array(files) and np.ndim(files) == 3)
    listed: list[Any] = [files] if is_one else list(files)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


def _is_array(file: Any) -> bool:
    """Whether NumPy takes it for pixels: its own arrays, tensors, and the images of Pillow."""
    return hasattr(file, "__array__") or hasattr(file, "__array_interface__")


def name_of(file: File) -> str:
    """The path as it was given; empty for what has none."""
    return os.fspath(file) if isinstance(file, str | os.PathLike) else ""


def read_file(file: File) -> bytes | None:
    """The bytes of a file, of pixels those of a PNG; None where the operating system does not hand them out.

    Raises:
        TypeError: it is no path, no bytes and no such pixels.
    """
    if isinstance(file, bytes):
        return file
    if _is_array(file):
        pixels = np.asarray(file)
        if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3:
            return encode_png(pixels) if pixels.size else b""
        raise TypeError(
            f"pixels must be uint8 [H, W, 3], RGB, 0-255. Received: {pixels.dtype} {list(pixels.shape)}. Convert them, "
            "or pass the path or the bytes of the file."
        )
    if not isinstance(file, str | os.PathLike):
        raise TypeError(
            f"files must be paths, bytes of image files, or pixels, uint8 [H, W, 3]. Received: {type(file).__name__}."
        )
    try:
        return pathlib.Path(file).read_bytes()
    except OSError:
        return None
