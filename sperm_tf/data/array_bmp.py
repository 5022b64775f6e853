"""BMP files, decoded as the served graph decodes them, without TensorFlow.

`sperm_tf.data.image_formats` has the same rules in a graph; both refuse the same files.
"""

from __future__ import annotations

import struct

import numpy as np

from sperm_tf.data.decode import BMP_INFO_LENGTHS, UndecodableImageError

_BITS = (1, 4, 8, 24, 32)
_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF)
_UNCOMPRESSED, _BIT_FIELDS = 0, 3
_HEADER_LENGTH = 72  # bytes that are looked at; those behind the end of a file count as zero


def decode(content: bytes) -> np.ndarray:
    """Decodes a BMP whose declared size is accepted.

    Args:
        content: bytes of the file.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        UndecodableImageError: it is not complete, or of a kind that the served graph refuses.
    """
    header = content[:_HEADER_LENGTH].ljust(_HEADER_LENGTH, b"\0")
    start, info_length, width, signed_height = struct.unpack_from("<IIii", header, 10)
    bits, compression = struct.unpack_from("<HI", header, 28)
    row_length = (width * bits + 31) // 32 * 4  # rows are padded to four bytes
    num_bytes = abs(signed_height) * row_length
    is_plain = compression == _UNCOMPRESSED and bits in _BITS
    is_masked = compression == _BIT_FIELDS and bits == 32 and struct.unpack_from("<III", header, 54) == _MASKS
    is_complete = 14 + info_length <= start and start + num_bytes <= len(content)
    if info_length not in BMP_INFO_LENGTHS or not (is_plain or is_masked) or not is_complete:
        raise UndecodableImageError("a BMP must be complete, uncompressed, of 1, 4, 8, 24 or 32 bits a pixel")
    rows = np.frombuffer(content, np.uint8, num_bytes, start).reshape(abs(signed_height), row_length)
    if bits > 8:
        stored = rows[:, : width * bits // 8].reshape(len(rows), width, bits // 8)[:, :, 2::-1]
    else:
        stored = _look_up(content, rows, bits, info_length)[:, :width]
    return np.ascontiguousarray(stored[::-1] if signed_height > 0 else stored)


def _look_up(content: bytes, rows: np.ndarray, bits: int, info_length: int) -> np.ndarray:
    """Colours of packed indices, uint8 [H, samples of a row, 3]."""
    (declared,) = struct.unpack_from("<I", content, 46)
    num_colours = declared or 1 << bits
    start = 14 + info_length
    if num_colours > 1 << bits or start + 4 * num_colours > len(content):
        raise UndecodableImageError("the palette of a BMP must be complete, with a colour for each index at most")
    (pixels_start,) = struct.unpack_from("<I", content, 10)
    palette = np.frombuffer(content, np.uint8, 4 * num_colours, start).reshape(num_colours, 4)[:, 2::-1]
    shifts: np.ndarray = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    indices = ((rows[:, :, None] >> shifts) & ((1 << bits) - 1)).reshape(len(rows), -1)
    (width,) = struct.unpack_from("<i", content, 18)
    # A palette may end early where it says no number; the pixels begin there.
    if int(indices[:, :width].max()) >= min(num_colours, (pixels_start - start) // 4):
        raise UndecodableImageError("the pixels of a BMP must lie in its palette")
    return palette[np.minimum(indices, num_colours - 1)]
