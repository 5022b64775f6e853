"""The preprocessing of the served graph in Pillow and NumPy, for processes without TensorFlow.

It accepts and refuses the same files as `sperm_tf.data.preprocess`, with the same status, and gives the same pixels,
but for a grey level where two decoders of JPEG differ or a value lies halfway between two levels.
"""

from __future__ import annotations

import concurrent.futures
import functools
import io
import os
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image

from sperm_tf.data.decode import (
    MAX_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
    PNG_SIGNATURE,
    UndecodableImageError,
    decode_rgb,
)
from sperm_tf.served_names import EMPTY, OK, TOO_LARGE, TOO_SMALL, UNDECODABLE, UNKNOWN_FORMAT

_SIGNATURES = (PNG_SIGNATURE, b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM")
_BMP_HEADER, _BMP_BITS = 40, (1, 4, 8, 24, 32)
_BMP_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF)


def preprocess_files(contents: Sequence[bytes], image_size: int) -> tuple[np.ndarray, list[str]]:
    """Decodes files, pads them to a centred square by their edges, and resizes them with antialiasing, in parallel.

    Args:
        contents: bytes of B files.
        image_size: side S of the results in pixels, at least 1.

    Returns:
        uint8 [B, S, S, 3], RGB, 0-255, zeros for a file without an image; and one of
        `sperm_tf.served_names.STATUSES` for each.
    """
    images = np.zeros((len(contents), image_size, image_size, 3), np.uint8)

    def fill(row: int) -> str:
        status, pixels = read_pixels(contents[row])
        if pixels is not None:
            images[row] = fit(pixels, image_size)
        return status

    if len(contents) == 1:
        return images, [fill(0)]
    return images, list(_pool().map(fill, range(len(contents))))


def read_pixels(content: bytes) -> tuple[str, np.ndarray | None]:
    """The status of a file, and its pixels, uint8 [H, W, 3]; None where the status is not ok."""
    status = inspect(content)
    if status != OK:
        return status, None
    try:
        return OK, decode(content)
    except UndecodableImageError:
        return UNDECODABLE, None


def inspect(content: bytes) -> str:
    """Judges a file by its header: `ok`, or the status of `sperm_tf.data.preprocess.inspect`."""
    if not content:
        return EMPTY
    if not content.startswith(_SIGNATURES):
        return UNKNOWN_FORMAT
    height, width = read_size(content)
    shorter, longer = min(height, width), max(height, width)
    if shorter < 1:
        return UNDECODABLE
    if shorter < MIN_SIDE:
        return TOO_SMALL
    return TOO_LARGE if shorter * longer > MAX_PIXELS or longer > MAX_SIDE else OK


def decode(content: bytes) -> np.ndarray:
    """Decodes what the served graph decodes.

    Args:
        content: bytes of a PNG, JPEG, BMP or GIF file.

    Returns:
        uint8 [H, W, 3], RGB, 0-255.

    Raises:
        UndecodableImageError: the file is damaged, or of a kind of BMP or GIF that the served graph refuses.
    """
    if content.startswith(b"BM") and not _is_served_bmp(content):
        raise UndecodableImageError("a BMP must be uncompressed, of 1, 4, 8, 24 or 32 bits per pixel")
    if content.startswith(b"BM") and not _is_inside_palette(content):
        raise UndecodableImageError("the pixels of a BMP must lie in its palette")
    if content.startswith(b"GIF") and not _fills_canvas(content):
        raise UndecodableImageError("the first frame of a GIF must fill its canvas")
    return decode_rgb(content).pixels


def fit(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Pads to a centred square by edge replication and resizes, one axis after the other.

    Args:
        pixels: uint8 [H, W, 3].
        image_size: S.

    Returns:
        uint8 [S, S, 3].
    """
    height, width = pixels.shape[:2]
    side = max(height, width)
    axes = ((1, width), (0, height)) if width >= height else ((0, height), (1, width))
    values = pixels.astype(np.float32)
    for axis, length in axes:  # the longer side first, as in the served graph
        values = _resample(values, axis, *_taps(length, side, image_size))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _resample(values: np.ndarray, axis: int, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums along an axis, [.., N, ..] -> [.., S, ..]; a matrix product would wait for its threads."""
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    total = np.take(values, places[0], axis=axis) * weights[0].reshape(shape)
    for place, weight in zip(places[1:], weights[1:], strict=True):
        total += np.take(values, place, axis=axis) * weight.reshape(shape)
    return total


@functools.lru_cache(maxsize=256)
def _taps(length: int, side: int, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """What each sample of a padded and resized side is made of.

    A triangle as wide as the step between samples, at least two pixels (TensorFlow's `ScaleAndTranslate`, Pillow's
    `BILINEAR`); what falls on the padding counts for the edge.

    Returns:
        Places in the side without padding, int64 [K, S], and their weights, float32 [K, S], which sum to 1.
    """
    step = side / image_size
    radius = max(step, 1.0)
    centres = (np.arange(image_size) + 0.5) * step - 0.5
    places = np.ceil(centres - radius).astype(int) + np.arange(int(2 * radius) + 1)[:, None]
    weights = np.maximum(0, 1 - np.abs(places - centres) / radius) * ((places >= 0) & (places < side))
    inside = np.clip(places - (side - length) // 2, 0, length - 1)
    return inside, (weights / weights.sum(axis=0)).astype(np.float32)


@functools.cache
def _pool() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")


def read_size(content: bytes) -> tuple[int, int]:
    """Height and width that the header of a file declares; zeros where it cannot be read."""
    if content.startswith(b"BM"):
        if len(content) < 26 or int.from_bytes(content[14:18], "little") < _BMP_HEADER:
            return 0, 0  # OS/2's header has its size elsewhere
        width, height = struct.unpack_from("<ii", content, 18)
        return abs(height), width
    if content.startswith(b"GIF"):
        width, height = struct.unpack_from("<HH", content.ljust(10, b"\0"), 6)
        return height, width
    if content.startswith(PNG_SIGNATURE):
        width, height = struct.unpack_from(">II", content.ljust(24, b"\0"), 16)
        return (height, width) if content[12:16] == b"IHDR" else (0, 0)
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            return image.height, image.width
    except Image.DecompressionBombError:
        return MAX_SIDE + 1, MAX_SIDE + 1
    except Exception:  # Pillow's plugins raise a dozen unrelated types on malformed bytes
        return 0, 0


def _is_served_bmp(content: bytes) -> bool:
    if len(content) < 34:
        return False
    bits, compression = struct.unpack_from("<HI", content, 28)
    if compression == 3:
        return bits == 32 and len(content) >= 66 and struct.unpack_from("<III", content, 54) == _BMP_MASKS
    return compression == 0 and bits in _BMP_BITS


def _is_inside_palette(content: bytes) -> bool:
    """Whether every pixel has a colour; True where there is no palette. Pillow paints the others black."""
    bits, declared = int.from_bytes(content[28:30], "little"), int.from_bytes(content[46:50], "little")
    if bits > 8 or not declared:
        return True
    try:
        with Image.open(io.BytesIO(content), formats=("BMP",)) as image:
            return int(np.asarray(image).max()) < declared
    except Exception:  # as above; `decode_rgb` says what is wrong
        return True


def _fills_canvas(content: bytes) -> bool:
    """Whether the first frame of a GIF covers its canvas."""
    try:
        with Image.open(io.BytesIO(content), formats=("GIF",)) as image:
            box = image.tile[0][1]
    except Exception:  # as above
        return True
    return box == (0, 0, *struct.unpack_from("<HH", content, 6))
