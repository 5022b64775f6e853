"""TIFF files made by hand from their specification, so that no reader is tested with its own writer.

TIFF 6.0, section 2; BigTIFF as libtiff describes it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

ASCII, SHORT, LONG, RATIONAL, LONG8 = 2, 3, 4, 5, 16
CODES = {ASCII: "B", SHORT: "H", LONG: "I", RATIONAL: "I", LONG8: "Q"}
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
NEW_SUBFILE, DESCRIPTION, ORIENTATION, MAX_SAMPLE = 254, 270, 274, 281
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, COLOUR_MAP, EXTRA_SAMPLES = 282, 283, 296, 320, 338
Page = tuple[dict[int, tuple[int, list[int]]], list[bytes], bool]


def text(value: str) -> tuple[int, list[int]]:
    """A tag's value of type ASCII."""
    return ASCII, list(value.encode() + b"\0")


def page(
    pixels: np.ndarray,
    photometric: int,
    tags: dict[int, tuple[int, list[int]]] | None = None,
    *,
    planar: bool = False,
    rows: int = 0,
    tile: tuple[int, int] | None = None,
    order: str = "<",
    compression: int = 1,
    encode: Callable[[np.ndarray], bytes] = lambda part: part.tobytes(),
) -> Page:
    """Tags and segments of a page.

    Args:
        pixels: uint8 or uint16, [H, W] or [H, W, samples].
        photometric: value of the tag.
        tags: further ones, or others than this function writes.
        planar: the samples are stored as planes.
        rows: of a strip; 0 for one strip.
        tile: height and width of a tile; None for strips.
        order: of bytes, `<` or `>`.
        compression: value of the tag.
        encode: makes the bytes of a segment, [rows, columns, samples] in the order of bytes.
    """
    values = pixels[:, :, None] if pixels.ndim == 2 else pixels
    height, width, samples = values.shape
    planes = [values[:, :, at : at + 1] for at in range(samples)] if planar else [values]
    step = tile or (rows or height, width)
    segments = []
    for plane in planes:
        for top in range(0, height, step[0]):
            for left in range(0, width, step[1]):
                part = plane[top : top + step[0], left : left + step[1]]
                if tile:
                    missing = step[0] - part.shape[0], step[1] - part.shape[1]
                    part = np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
                segments.append(encode(np.ascontiguousarray(part.astype(part.dtype.newbyteorder(order)))))
    written = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [8 * pixels.itemsize] * samples),
        259: (SHORT, [compression]),
        262: (SHORT, [photometric]),
        277: (SHORT, [samples]),
        284: (SHORT, [2 if planar else 1]),
        **({322: (LONG, [step[1]]), 323: (LONG, [step[0]])} if tile else {278: (LONG, [step[0]])}),
        **(tags or {}),
    }
    return written, segments, tile is not None


def tiff(*pages: Page, order: str = "<", big: bool = False, shared: bool = False) -> bytes:
    """A file of pages.

    Args:
        pages: of `page`.
        order: of bytes.
        big: a BigTIFF.
        shared: all segments of a page are its first one, stored once: a huge image in a small file.
    """
    word, size, number = ("Q", 8, "Q") if big else ("I", 4, "H")
    head = struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if big else struct.pack(f"{order}HI", 42, 8)
    data = bytearray((b"II" if order == "<" else b"MM") + head)
    for index, (tags, segments, tiled) in enumerate(pages):
        kind = LONG8 if big else LONG
        stored = segments[:1] if shared else segments
        offsets = (kind, [0] * len(segments))
        entries = {
            **tags,
            324 if tiled else 273: offsets,
            325 if tiled else 279: (kind, [len(stored[0])] * len(segments) if shared else list(map(len, segments))),
        }
        entries = dict(sorted(entries.items()))
        sizes = {tag: struct.calcsize(CODES[kind]) * len(values) for tag, (kind, values) in entries.items()}
        behind = len(data) + struct.calcsize(f"={number}{word}") + len(entries) * (20 if big else 12)
        place = behind + sum(length for length in sizes.values() if length > size)
        for at in range(len(segments)):
            offsets[1][at] = place
            place += 0 if shared else len(segments[at])
        place += len(stored[0]) if shared else 0
        table, outside = bytearray(struct.pack(f"{order}{number}", len(entries))), bytearray()
        for tag, (kind, values) in entries.items():
            body = struct.pack(f"{order}{len(values)}{CODES[kind]}", *values)
            table += struct.pack(f"{order}HH{word}", tag, kind, len(values) // 2 if kind == RATIONAL else len(values))
            if len(body) > size:
                table += struct.pack(f"{order}{word}", behind + len(outside))
                outside += body
            else:
                table += body.ljust(size, b"\0")
        table += struct.pack(f"{order}{word}", place if index < len(pages) - 1 else 0)
        data += table + outside + b"".join(stored)
    return bytes(data)
