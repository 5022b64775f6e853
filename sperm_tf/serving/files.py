"""What a classifier takes: paths, the bytes of files, open files, Pillow's images, or pixels.

Scalars are told first: NumPy's strings are strings, although they can be made an array; an open file is one image,
although it can be iterated over.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TypeGuard

import numpy as np
from PIL import Image

from sperm_tf.data.decode import encode_png, to_rgb
from sperm_tf.fields.field_check import REMEDY as FIELD_REMEDY
from sperm_tf.fields.field_check import file_looks_like_field
from sperm_tf.microscopy import to_served_if_readable
from sperm_tf.served_names import FIELD_OF_VIEW, OK, UNREADABLE
from sperm_tf.serving.paths import check_paths

File = bytes | bytearray | memoryview | str | os.PathLike | BinaryIO | Image.Image | np.ndarray
RAISE, ROWS = ERRORS = ("raise", "rows")
"""What becomes of a path that names no file: an error before anything is classified, or a row `unreadable`."""
_SCALARS = (bytes, bytearray, memoryview, str, os.PathLike, Image.Image)
_CHANNELS = (1, 3, 4)
_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}  # are judged like a PNG file with the same samples
_NUMBERS = {"F", "I"}  # modes of Pillow without a known range


def batches(files: Any, size: int, *, errors: str = RAISE) -> Iterator[list[File]]:
    """Parts of at most `size` files; one file, or the pixels of one image, may come alone.

    Args:
        files: files in any mixture, or one of them.
        size: most files of a part.
        errors: of `ERRORS`.

    Raises:
        TypeError: something else was given.
        FileNotFoundError: a path names nothing, or is a pattern or an address of the web.
        IsADirectoryError: a path names a folder.
        ValueError: `errors` is none of `ERRORS`.
    """
    if errors not in ERRORS:
        raise ValueError(f"errors must be one of {', '.join(ERRORS)}. Received: errors={errors!r}")
    listed = [_unwrap(file) for file in ([files] if _is_one(files) else files)]
    for file in listed:
        _check_kind(file)
    if errors == RAISE:
        check_paths([os.fspath(file) for file in listed if isinstance(file, str | os.PathLike)])
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


def name_of(file: File) -> str:
    """The path as it was given, or that of an open file or a Pillow image; empty for what has none."""
    if isinstance(file, str | os.PathLike):
        return str(os.fsdecode(file))
    name = getattr(file, "filename" if isinstance(file, Image.Image) else "name", "")
    return name if isinstance(name, str) else ""


def read_file(file: File) -> bytes | None:
    """The bytes that a model decodes; None where they are not handed out.

    Pixels and images of microscopes (TIFF, DICOM, CZI, ND2) become a PNG; one that cannot be read without guessing
    stays as it is, and no model decodes it: `sperm_tf.microscopy.read_image` says why.

    Raises:
        TypeError: it is none of `File`, or an open file gives text.
        ImportError: the package that reads a microscope's format is not installed.
    """
    file = _unwrap(file)
    _check_kind(file)
    try:
        if isinstance(file, Image.Image):
            return encode_png(file) if file.mode in _PNG_MODES else encode_png(to_rgb(file))
        if isinstance(file, _SCALARS) or _is_open_file(file):
            content = _read_content(file)
            return None if content is None else to_served_if_readable(content, name=name_of(file))
    except OSError:
        return None
    pixels = np.asarray(file)
    return encode_png(_to_picture(pixels)) if pixels.size else b""


def read_crops(files: Sequence[File], *, errors: str, refuse_fields: bool = True) -> tuple[list[bytes], list[str]]:
    """The bytes of files that may be classified.

    Args:
        files: as they were given.
        errors: of `ERRORS`.
        refuse_fields: whether a whole field of view is no crop.

    Returns:
        The bytes, empty where the status is not `ok`; and `ok`, `unreadable` or `field_of_view` for each.

    Raises:
        ValueError: one is a whole field of view, and `errors` is `raise`.
    """
    contents, statuses = [], []
    for file in files:
        content = read_file(file)
        is_field = refuse_fields and content is not None and file_looks_like_field(content)
        if is_field and errors == RAISE:
            raise ValueError(
                f"files must be crops of one cell each. Received: {name_of(file) or 'an image'}; {FIELD_REMEDY}, or "
                "pass errors='rows' to get a row without a prediction."
            )
        statuses.append(UNREADABLE if content is None else FIELD_OF_VIEW if is_field else OK)
        contents.append(content if content is not None and not is_field else b"")
    return contents, statuses


def _is_one(files: Any) -> bool:
    if isinstance(files, _SCALARS) or _is_open_file(files):
        return True
    if isinstance(files, Mapping):
        raise TypeError(
            f"files must be a sequence of files, or one. Received: {type(files).__name__}. Pass its values."
        )
    if not _is_array(files):
        if not hasattr(files, "__iter__"):
            raise TypeError(_say_kinds(files))
        return False
    array = np.asarray(files)
    if array.ndim == 0:
        return True
    return array.dtype.kind not in "USO" and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS))


def _unwrap(file: Any) -> Any:
    """What an array of no dimension holds: a string tensor, or an element of an array of objects."""
    if isinstance(file, _SCALARS) or not _is_array(file) or np.ndim(file):
        return file
    return np.asarray(file).item()


def _is_open_file(file: Any) -> TypeGuard[BinaryIO]:
    return callable(getattr(file, "read", None)) and not isinstance(file, type)


def _is_array(file: Any) -> bool:
    """Whether NumPy takes it for pixels: its own arrays and tensors."""
    return hasattr(file, "__array__") or hasattr(file, "__array_interface__")


def _check_kind(file: Any) -> None:
    if isinstance(file, Image.Image):
        if file.mode in _NUMBERS:
            raise TypeError(
                f"images of Pillow must have a known range of values. Received: mode {file.mode!r}. Scale it to 0-255 "
                "and convert it to mode L."
            )
        return
    if isinstance(file, _SCALARS) or _is_open_file(file):
        return
    if not _is_array(file):
        raise TypeError(_say_kinds(file))
    pixels = np.asarray(file)
    has_shape = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in _CHANNELS)
    if pixels.dtype != np.uint8 or not has_shape:
        raise TypeError(
            "pixels must be uint8, 0-255: [H, W] or [H, W, 1] grey, [H, W, 3] RGB, or [H, W, 4] RGBA. Received: "
            f"{pixels.dtype} {list(pixels.shape)}. Convert them, or pass the path or the bytes of the file."
        )


def _say_kinds(file: Any) -> str:
    return (
        "files must be paths, bytes of image files, open files, images of Pillow, or pixels, uint8 [H, W, 3]. "
        f"Received: {type(file).__name__}."
    )


def _read_content(file: Any) -> bytes | None:
    if isinstance(file, bytes | bytearray | memoryview):
        return bytes(file)
    return _read_path(os.fsdecode(file)) if isinstance(file, str | os.PathLike) else _read_open_file(file)


def _read_path(path: str) -> bytes | None:
    try:
        return pathlib.Path(path).read_bytes()
    except ValueError:  # a character that no name can have
        return None


def _read_open_file(file: BinaryIO) -> bytes:
    """All of it, wherever it stands: what was just written to a buffer is read from its beginning, as Pillow does."""
    seekable = getattr(file, "seekable", None)
    if seekable is not None and seekable():
        file.seek(0)
    content = file.read()
    if not isinstance(content, bytes):
        raise TypeError(
            f"open files must give bytes. Received: {name_of(file) or type(file).__name__}, which gives "
            f'{type(content).__name__}. Open it with mode "rb".'
        )
    return content


def _to_picture(pixels: np.ndarray) -> np.ndarray:
    """Grey [H, W] or RGB [H, W, 3]; alpha is dropped, as it is from files."""
    if pixels.ndim == 3:
        pixels = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, :3]
    return np.ascontiguousarray(pixels)
