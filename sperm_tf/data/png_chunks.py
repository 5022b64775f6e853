"""The chunks of a PNG that its pixels depend on, checked as libpng checks them.

Pillow goes on where libpng, and with it the served graph, refuses: without the end of the pixel data, with methods that
the standard does not have, without a palette; it leaves rows black for which there are no data. And it refuses files
for chunks that concern no pixel of theirs, such as those of an animation.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_SIGNATURE_LENGTH = 8
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples of a pixel
_INDEXED = 3
_MAX_PALETTE = 768  # bytes
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_STEP, _MAX_BEHIND = 1 << 16, 1 << 26  # bytes behind the pixels in which the end of the data is searched


def keep_pixels(content: bytes) -> bytes:
    """The same PNG without the chunks that no pixel of an RGB image depends on; alpha is dropped, so transparency, too.

    Args:
        content: bytes of a PNG of an accepted size.

    Raises:
        ValueError: a critical chunk is damaged, missing or unknown, or the pixel data are too few, or without an end.
        zlib.error: the pixel data are damaged.
    """
    header, palette = b"", b""
    data: list[bytes] = []
    is_behind = False  # the pixel data, which must follow each other
    for kind, body in _walk(content):
        is_behind = is_behind or (bool(data) and kind != b"IDAT")
        if kind == b"IHDR" and not header:
            header = body
        elif kind == b"PLTE" and not (palette or data):
            palette = body
        elif kind == b"IDAT" and header and not is_behind:
            data.append(body)
        elif kind in (b"IHDR", b"PLTE", b"?"):
            raise ValueError("a critical chunk that is unknown or out of place")
    _check_header(header, palette)
    stream = b"".join(data)
    _check_data(stream, header)
    kept = [(b"IHDR", header), (b"PLTE", palette), (b"IDAT", stream), (b"IEND", b"")]
    return content[:_SIGNATURE_LENGTH] + b"".join(_chunk(*one) for one in kept if one != (b"PLTE", b""))


def _walk(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk before the end mark; of others than critical ones nothing, damaged or not."""
    position, kind = _SIGNATURE_LENGTH, b""
    while kind != b"IEND":
        if position + 12 > len(content):
            raise ValueError("it ends before its end mark")
        length, kind = struct.unpack_from(">I4s", content, position)
        if not kind.isalpha():
            raise ValueError("a chunk whose name has other characters than letters")
        body, start = content[position + 8 : position + 8 + length], position
        position += 12 + length
        if kind[0] & 0x20:
            yield b"", b""
            continue
        if (
            position > len(content)
            or zlib.crc32(content[start + 4 : position - 4]).to_bytes(4, "big") != (content[position - 4 : position])
        ):
            raise ValueError("a critical chunk is damaged")
        yield (kind if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND") else b"?"), body


def _check_header(header: bytes, palette: bytes) -> None:
    if len(header) != 13 or header[9] not in _SAMPLES:
        raise ValueError("its header is missing or damaged")
    if header[10:12] != b"\0\0" or header[12] > 1:
        raise ValueError("its methods must be 0, 0 and 0 or 1")
    if header[9] == _INDEXED and (not palette or len(palette) % 3 or len(palette) > _MAX_PALETTE):
        raise ValueError("its palette is missing or damaged")


def _check_data(stream: bytes, header: bytes) -> None:
    """Whether the compressed data hold every pixel, and their own end."""
    width, height, bits, colour_type, *_, interlaced = struct.unpack(">IIBBBBB", header)
    pixel_bits = bits * _SAMPLES[colour_type]
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    sides = [(-(-(height - y) // dy), -(-(width - x) // dx)) for y, x, dy, dx in passes]
    needed = sum(rows * (1 + (columns * pixel_bits + 7) // 8) for rows, columns in sides if rows > 0 and columns > 0)
    inflate = zlib.decompressobj()
    found = len(inflate.decompress(stream, needed - 1))
    try:
        found += len(inflate.decompress(inflate.unconsumed_tail, 1))
        for _ in range(_MAX_BEHIND // _STEP):
            if inflate.eof or not inflate.decompress(inflate.unconsumed_tail, _STEP):
                break
    except zlib.error:  # in the checksum, of which libpng warns; Pillow refuses what is wrong in the last pixel
        return
    if found < needed or not inflate.eof:
        raise ValueError("its pixel data are too few, or without their end")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
