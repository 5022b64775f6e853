"""Mutations of files. The same seed and number give the same file."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Mapping, Sequence

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BYTES = (0, 1, 2, 0x0F, 0x10, 0x7F, 0x80, 0xFE, 0xFF)
_WORDS = (0, 1, 2, 15, 16, 17, 255, 256, 0x7FFF, 0x8000, 0xFFFF)
_LONGS = (0, 1, 2, 16, 4096, 65_535, 65_536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MAX_STEPS = 6
_HEAD = 160  # bytes, in which every second mutation lies: sizes and kinds stand there


def mutate(files: Mapping[str, bytes], *, seed: int, number: int) -> tuple[str, bytes]:
    """A mutated file.

    Args:
        files: name -> file, to begin with.
        seed: of all mutations.
        number: of this one.

    Returns:
        The name that was chosen, and the mutated content.
    """
    draw = random.Random(f"{seed}/{number}")
    names = sorted(files)
    name = draw.choice(names)
    data = bytearray(files[name])
    for _ in range(draw.randint(1, _MAX_STEPS)):
        draw.choice(_STEPS)(draw, data, files[draw.choice(names)])
    content = bytes(data)
    if content.startswith(PNG_SIGNATURE) and draw.random() < 0.7:
        content = mend_checksums(content)
    return name, content


def mend_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the right checksums, without which every decoder stops at the first one."""
    parts, position = [data[:8]], 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        if position + 12 + length > len(data):
            break
        body = data[position + 4 : position + 8 + length]
        parts.append(data[position : position + 4] + body + struct.pack(">I", zlib.crc32(body)))
        position += 12 + length
    return b"".join(parts) + data[position:]


def _place(draw: random.Random, data: Sequence[int], width: int = 1) -> int:
    end = len(data) - width
    return draw.randint(0, min(end, _HEAD) if draw.random() < 0.5 else end) if end >= 0 else 0


def _flip(draw, data, other):
    if data:
        data[_place(draw, data)] ^= 1 << draw.randrange(8)


def _set_byte(draw, data, other):
    if data:
        data[_place(draw, data)] = draw.choice(_BYTES) if draw.random() < 0.5 else draw.randrange(256)


def _set_number(draw, data, other):
    kind, values = draw.choice((("H", _WORDS), ("I", _LONGS)))
    number = struct.pack(draw.choice("<>") + kind, draw.choice(values))
    if len(data) >= len(number):
        at = _place(draw, data, len(number))
        data[at : at + len(number)] = number


def _add_to_number(draw, data, other):
    width, order = draw.choice((2, 4)), draw.choice(("little", "big"))
    if len(data) >= width:
        at = _place(draw, data, width)
        value = int.from_bytes(data[at : at + width], order) + draw.randint(-3, 3)
        data[at : at + width] = (value % 256**width).to_bytes(width, order)


def _delete(draw, data, other):
    at = _place(draw, data)
    del data[at : at + draw.randint(1, 20)]


def _repeat(draw, data, other):
    at = _place(draw, data)
    part = data[at : at + draw.randint(1, 40)]
    data[at:at] = part * draw.randint(1, 3)


def _insert(draw, data, other):
    at = _place(draw, data)
    data[at:at] = draw.randbytes(draw.randint(1, 10))


def _cut(draw, data, other):
    if draw.random() < 0.3:
        del data[draw.randint(0, len(data)) :]


def _splice(draw, data, other):
    """The place of a part of another file is another one."""
    if data and other:
        at, start = _place(draw, data), _place(draw, other)
        length = draw.randint(1, 60)
        data[at : at + length] = other[start : start + length]


def _move(draw, data, other):
    if len(data) > 40:
        at, length = _place(draw, data), draw.randint(1, 20)
        part = data[at : at + length]
        del data[at : at + length]
        to = _place(draw, data)
        data[to:to] = part


_STEPS = (
    _flip,
    _flip,
    _set_byte,
    _set_byte,
    _set_number,
    _add_to_number,
    _delete,
    _repeat,
    _insert,
    _cut,
    _splice,
    _move,
)
