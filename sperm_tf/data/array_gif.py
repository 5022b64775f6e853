"""The first frame of GIF files, found as the served graph finds it, without TensorFlow.

Pillow searches bytes that are no block for the next one, paints indices that have no colour black, and takes a file
without colours for grey. The served graph refuses all of these.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from sperm_tf.data.decode import (
    GIF_CODE_SIZES,
    GIF_MAX_BYTES,
    GIF_MAX_CLEARS,
    GIF_MAX_CODE_BITS,
    UndecodableImageError,
)

_EXTENSION, _FRAME, _END = 0x21, b"\x2c\0\0\0\0", b";"
_HAS_PALETTE = 0x80
_WINDOW = 1024  # codes that are read at once


def decode(content: bytes) -> np.ndarray:
    """Decodes the first frame, which must fill the canvas.

    Args:
        content: bytes of a GIF whose declared size is accepted.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        UndecodableImageError: the file is damaged there, or of a kind that the served graph refuses.
    """
    try:
        file, palette = _take_first_frame(content)
        with Image.open(io.BytesIO(file), formats=("GIF",)) as image:
            indices = np.asarray(image)  # of a palette that is a ramp of grey Pillow gives grey values: the same
    except UndecodableImageError:
        raise
    except Exception as error:  # an index behind the end; Pillow's plugins raise a dozen unrelated types
        raise UndecodableImageError(f"the first frame of a GIF must be whole. Received: {error!r}") from error
    if indices.ndim != 2 or int(indices.max()) >= len(palette):
        raise UndecodableImageError("the pixels of a GIF must lie in its palette")
    return palette[indices]


def _take_first_frame(content: bytes) -> tuple[bytes, np.ndarray]:
    """A GIF of the first frame alone, and its colours, uint8 [N, 3]; raises IndexError for a file that ends before."""
    start = position = 13 + _palette_length(content[10])
    while content[position] == _EXTENSION:
        position = _skip_chain(content, position + 2)
    if content[position : position + 9] != _FRAME + content[6:10]:
        raise UndecodableImageError("the first frame of a GIF must fill its canvas")
    flags = content[position + 9]
    own_length = _palette_length(flags)
    codes_start = position + 11 + own_length
    codes, end = _join_chain(content, codes_start)
    if not are_defined(codes, content[codes_start - 1]):
        raise UndecodableImageError("the codes of a GIF must be defined")
    colours = content[position + 10 : position + 10 + own_length] if own_length else content[13:start]
    if not colours:
        raise UndecodableImageError("a GIF must have a palette")
    return content[:start] + content[position:end] + _END, np.frombuffer(colours, np.uint8).reshape(-1, 3)


def _palette_length(flags: int) -> int:
    return 3 << (flags % 8 + 1) if flags & _HAS_PALETTE else 0


def _skip_chain(content: bytes, position: int) -> int:
    """Position behind a chain of sub-blocks: each starts with its length, a length of zero ends the chain."""
    while length := content[position]:
        position += 1 + length
    return position + 1


def _join_chain(content: bytes, start: int) -> tuple[bytes, int]:
    """The bytes of a chain of sub-blocks without their lengths, and the position behind the chain."""
    end, parts = start, []
    while length := content[end]:
        parts.append(content[end + 1 : end + 1 + length])
        end += 1 + length
    return b"".join(parts), end + 1


def are_defined(content: bytes, code_size: int) -> bool:
    """Whether every code is defined where it stands.

    A code's width follows from the number of codes since the table was started again, whatever their values, and so
    does the largest one that is defined: many codes are read at once, up to the next that starts the table again.
    Codes behind the end mark do not count; those behind the last pixel do.

    Args:
        content: LZW codes of a frame, without the lengths of sub-blocks.
        code_size: bits of a colour index, as the file states them.
    """
    if code_size not in GIF_CODE_SIZES or len(content) > GIF_MAX_BYTES:
        return False
    clear, num_bits, table = 1 << code_size, 8 * len(content), 1 << GIF_MAX_CODE_BITS
    padded = np.frombuffer(content + bytes(3), np.uint8).astype(np.int32)
    triples = padded[:-2] + 256 * padded[1:-1] + 65_536 * padded[2:]
    numbers = np.arange(table + _WINDOW)
    widths = np.sum([clear + 1 + numbers >= 1 << bits for bits in range(GIF_MAX_CODE_BITS)], axis=0)
    starts = np.cumsum(widths) - widths
    largest = np.where(numbers > 0, clear + 1 + numbers, clear)
    bit = number = num_clears = 0
    while bit < num_bits:
        width, at = widths[number : number + _WINDOW], bit + starts[number : number + _WINDOW] - starts[number]
        codes = triples[np.minimum(at // 8, len(triples) - 1)] >> at % 8 & (1 << width) - 1
        is_stop = (codes == clear) | (codes == clear + 1) | (at + width > num_bits)
        stop = int(is_stop.argmax()) if is_stop.any() else _WINDOW
        if (codes[:stop] > largest[number : number + stop]).any():
            return False
        if stop == _WINDOW:
            bit, number = at[-1] + width[-1], min(number + _WINDOW, table)
            continue
        num_clears += 1
        if num_clears > GIF_MAX_CLEARS:
            return False
        is_clear = codes[stop] == clear and at[stop] + width[stop] <= num_bits
        bit, number = at[stop] + width[stop] if is_clear else num_bits, 0
    return True
