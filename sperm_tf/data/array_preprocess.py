"""The preprocessing of the served graph in Pillow and NumPy, for processes without TensorFlow.

It accepts and refuses the same files as `sperm_tf.data.preprocess`, with the same status, and gives the same pixels,
but for a grey level where two decoders of JPEG differ. A JPEG with a damaged header may be too large or too small here,
where Pillow still reads a size, and undecodable there.
"""

from __future__ import annotations

import concurrent.futures
import functools
import io
import os
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sperm_tf.data import array_bmp, array_gif
from sperm_tf.data.decode import (
    MAX_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
    PNG_SIGNATURE,
    ROUNDING,
    UndecodableImageError,
    decode_rgb,
)
from sperm_tf.served_names import EMPTY, OK, TOO_LARGE, TOO_SMALL, UNDECODABLE, UNKNOWN_FORMAT

if TYPE_CHECKING:
    import scipy.sparse

_SIGNATURES = (PNG_SIGNATURE, b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM")
_BMP_HEADER = 40


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

    def fill(rows: np.ndarray) -> list[str]:
        statuses = []
        for row in rows:
            status, pixels = read_pixels(contents[row])
            if pixels is not None:
                images[row] = fit(pixels, image_size)
            statuses.append(status)
        return statuses

    if len(contents) == 1:
        return images, fill(np.zeros(1, int))
    # One part for each thread: images are small, and threads that pass the interpreter on for each wait for it.
    parts = np.array_split(np.arange(len(contents)), os.cpu_count() or 1)
    return images, [status for part in _pool().map(fill, parts) for status in part]


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
    if content.startswith(b"BM"):
        return array_bmp.decode(content)
    if content.startswith(b"GIF"):
        return array_gif.decode(content)
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
    # The longer side first, as in the served graph. Channels apart while axes are exchanged: copies of runs of three
    # numbers take longer than the sums.
    if width >= height:
        columns = _resample(_float_copy(pixels.transpose(1, 2, 0)), side, image_size)
        values = _resample(_float_copy(columns.transpose(2, 0, 1)), side, image_size)
    else:
        rows = _resample(_float_copy(pixels), side, image_size)
        values = _resample(_float_copy(rows.transpose(1, 2, 0)), side, image_size).transpose(2, 0, 1)
    values += np.float32(ROUNDING)
    return np.ascontiguousarray(np.minimum(values, 255, out=values).astype(np.uint8))


def _float_copy(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32, order="C")


def _resample(values: np.ndarray, side: int, image_size: int) -> np.ndarray:
    """Pads and resizes the first axis, float32 [N, ...] -> [S, ...]."""
    weights = _weights(len(values), side, image_size)
    return (weights @ values.reshape(len(values), -1)).reshape(image_size, *values.shape[1:])


@functools.lru_cache(maxsize=256)
def _weights(length: int, side: int, image_size: int) -> scipy.sparse.csr_array:
    """The weight of each pixel of a side in each sample of that side, padded and resized; float32 [S, length].

    A triangle as wide as the step between samples, at least two pixels (TensorFlow's `ScaleAndTranslate`, Pillow's
    `BILINEAR`); what falls on the padding counts for the edge.
    """
    import scipy.sparse

    step = side / image_size
    radius = max(step, 1.0)
    centres = (np.arange(image_size)[:, None] + 0.5) * step - 0.5
    places = np.ceil(centres - radius).astype(np.int32) + np.arange(int(2 * radius) + 1, dtype=np.int32)
    weights = np.maximum(0, 1 - np.abs(places - centres) / radius) * ((places >= 0) & (places < side))
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    inside = np.clip(places - (side - length) // 2, 0, length - 1)
    starts = np.arange(image_size + 1, dtype=np.int32) * places.shape[1]
    return scipy.sparse.csr_array((weights.ravel(), inside.ravel(), starts), shape=(image_size, length))


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
