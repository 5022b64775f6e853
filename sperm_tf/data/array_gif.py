"""The first frame of GIF files, found as the served graph finds it, without TensorFlow.

Pillow searches bytes that are no block for the next one, paints indices that have no colour black, and takes a file
without colours for grey. The served graph refuses all of these.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from sperm_tf.data.decode import UndecodableImageError

_EXTENSION, _FRAME, _END = 0x21, b"\x2c\0\0\0\0", b";"
_HAS_PALETTE = 0x80
_MAX_CODE_SIZE = 8


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
    if content[position + 10 + own_length] > _MAX_CODE_SIZE:
        raise UndecodableImageError("the codes of a GIF must have at most 8 bits")
    end = _skip_chain(content, position + 11 + own_length)
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
