"""A RAR archive made by hand, because no free program writes one.

Layout: RAR 2.9 ("technote.txt" of the RAR distribution): marker, archive header, stored files, end.
"""

import struct
import zlib
from collections.abc import Mapping

STORED, COMPRESSED = 0x30, 0x33


def header(kind: int, flags: int, fields: bytes) -> bytes:
    body = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
    return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body


def make_rar(files: Mapping[str, bytes], *, method: int = STORED) -> bytes:
    """A RAR of uncompressed files; with `COMPRESSED` it only claims that they are compressed."""
    parts = [b"Rar!\x1a\x07\x00", header(0x73, 0, bytes(6))]
    for name, data in files.items():
        sizes = struct.pack("<IIBII", len(data), len(data), 3, zlib.crc32(data), 0x58000000)
        fields = sizes + struct.pack("<BBHI", 29, method, len(name), 0o100644 << 16) + name.encode()
        parts += [header(0x74, 0x8000, fields), data]
    return b"".join([*parts, header(0x7B, 0x4000, b"")])
