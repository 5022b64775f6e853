"""Regions of one page of a TIFF file, decoded strip by strip or tile by tile.

`tifffile` fills what is missing with zeros, and the JPEG decoder makes up pixels for which it has no data. Here a
segment without all of its bytes is an error.
"""

from __future__ import annotations

import io
import math
from collections import OrderedDict
from typing import Any

import numpy as np
from PIL import Image

from sperm_tf.data.decode import JPEG_END, JPEG_PROBE, MAX_PIXELS, has_whole_scan
from sperm_tf.microscopy.errors import MicroscopyError, MissingTilesError

UNCOMPRESSED = 1
JPEG = (7, 33007, 34892)
JPEG_2000 = (33003, 33004, 33005, 34712)
JPEG_XR = (22610, 34934)
LOSSLESS = {
    5: "LZW",
    8: "Deflate",
    32946: "Deflate",
    32773: "PackBits",
    34925: "LZMA",
    34926: "Zstandard",
    50000: "Zstandard",
}
SUPPORTED = (UNCOMPRESSED, *LOSSLESS, *JPEG, *JPEG_2000, *JPEG_XR)
CACHE_BYTES = 64_000_000
"""Decoded segments that are kept: a band of 512 rows of an image 20,000 pixels wide takes 31 MB."""
_TAIL = 32
"""Zeros at the end of a JPEG XR segment that no encoder writes; the format has neither end mark nor checksum."""


class PageDecoder:
    """Decodes regions of a page, as they are stored.

    Args:
        page: of `tifffile`.
        name: what messages call the file.
        shift: bytes from the data of this page to those of the plane: ImageJ stores stacks behind one page.

    Raises:
        MicroscopyError: the page's compression, depth or layout is not supported.
    """

    def __init__(self, page: Any, *, name: str, shift: int = 0):
        self._page, self._name, self._shift = page, name, shift
        self._key = page.keyframe
        self._separate, depth, self._height, self._width, self._contiguous = self._key.shaped
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._cached_bytes = 0
        self._check(depth)
        tiled = self._key.is_tiled
        self._rows = self._key.tilelength if tiled else min(self._key.rowsperstrip, self._height)
        self._columns = self._key.tilewidth if tiled else self._width
        self._across = math.ceil(self._width / self._columns)
        self._down = math.ceil(self._height / self._rows)
        if len(page.dataoffsets) < self._separate * self._across * self._down:
            raise self._damaged(f"{len(page.dataoffsets)} of {self._separate * self._across * self._down} segments")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width as stored."""
        return self._height, self._width

    @property
    def num_samples(self) -> int:
        """Samples of a pixel, whether they are stored together or as planes."""
        return self._separate * self._contiguous

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """The values of a region that lies inside, [height, width, samples], in the page's dtype."""
        reads_rows = self._key.compression == UNCOMPRESSED and not self._key.is_tiled and self._is_whole_bytes()
        parts = [
            self._read_rows(sample, y0, x0, height, width)
            if reads_rows
            else self._read_segments(sample, y0, x0, height, width)
            for sample in range(self._separate)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def _check(self, depth: int) -> None:
        compression = int(self._key.compression)
        if compression not in SUPPORTED:
            raise MicroscopyError(
                f"compression of {self._name} must be none, LZW, Deflate, PackBits, LZMA, Zstandard, JPEG, JPEG 2000 "
                f"or JPEG XR. Received: TIFF compression {compression}. Export it as an uncompressed TIFF"
            )
        if depth != 1:
            raise MicroscopyError(
                f"pages of {self._name} must be flat. Received: a page with a depth of {depth} (tag ImageDepth). "
                "Export it as a stack of pages"
            )
        if self._shift and compression != UNCOMPRESSED:
            raise self._damaged("a compressed stack behind one page")

    def _is_whole_bytes(self) -> bool:
        return self._key.bitspersample in (8, 16, 32) and self._key.predictor == 1 and self._key.fillorder == 1

    def _read_rows(self, sample: int, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """Rows of uncompressed strips, without reading the rest of a strip, which may be the whole image."""
        dtype = np.dtype(self._page.parent.byteorder + np.dtype(self._key.dtype).char)
        row_bytes = self._width * self._contiguous * dtype.itemsize
        pieces = []
        row = y0
        while row < y0 + height:
            strip, first = divmod(row, self._rows)
            index = sample * self._down + strip
            count = min(self._rows - first, y0 + height - row)
            start, end = first * row_bytes, (first + count) * row_bytes
            if not self._page.dataoffsets[index] or not self._page.databytecounts[index]:
                raise self._empty(index)
            if end > self._page.databytecounts[index]:
                raise self._damaged(f"strip {index} has no data for all of its rows")
            data = self._read_bytes(self._page.dataoffsets[index] + self._shift + start, end - start, f"strip {index}")
            pieces.append(np.frombuffer(data, dtype).reshape(count, self._width, self._contiguous)[:, x0 : x0 + width])
            row += count
        return np.concatenate(pieces).astype(dtype.newbyteorder("="), copy=False)

    def _read_segments(self, sample: int, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        out: np.ndarray | None = None
        for down in range(y0 // self._rows, (y0 + height - 1) // self._rows + 1):
            for across in range(x0 // self._columns, (x0 + width - 1) // self._columns + 1):
                segment = self._segment((sample * self._down + down) * self._across + across)
                if out is None:
                    out = np.empty((height, width, self._contiguous), segment.dtype)
                top, left = down * self._rows, across * self._columns
                rows = slice(max(y0, top), min(y0 + height, top + self._rows))
                columns = slice(max(x0, left), min(x0 + width, left + self._columns))
                piece = segment[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
                out[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0] = piece
        assert out is not None
        return out

    def _segment(self, index: int) -> np.ndarray:
        """A decoded strip or tile, [rows, columns, samples]; the last ones are kept."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        if self._rows * self._columns > MAX_PIXELS:
            raise MicroscopyError(
                f"strips and tiles of {self._name} must have at most {MAX_PIXELS} pixels. Received: "
                f"{self._columns}x{self._rows}. Save it in tiles"
            )
        offset, size = self._page.dataoffsets[index], self._page.databytecounts[index]
        if not offset or not size:
            raise self._empty(index)
        data = self._read_bytes(offset, size, f"segment {index}")
        segment = self._decode(data, index)
        self._cache[index] = segment
        self._cached_bytes += segment.nbytes
        while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return segment

    def _decode(self, data: bytes, index: int) -> np.ndarray:
        compression = int(self._key.compression)
        if compression in (*JPEG, *JPEG_2000):
            self._check_declared_size(data, index)
        segment = self._decode_once(data, index)
        if compression in JPEG:
            end = data.rfind(JPEG_END)
            probed = data[:end] + JPEG_PROBE + data[end:]
            whole = end > 0 and np.array_equal(segment, self._decode_once(probed, index)) and has_whole_scan(data)
        elif compression in JPEG_2000:
            whole = JPEG_END in data[-_TAIL:]  # its end mark is the same
        else:
            whole = compression not in JPEG_XR or data[-_TAIL:] != bytes(_TAIL)
        if not whole:
            raise self._damaged(f"segment {index} ends before its last pixel")
        return segment

    def _check_declared_size(self, data: bytes, index: int) -> None:
        """Refuses a picture larger than its segment, before memory is allocated for it."""
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG", "JPEG2000")) as picture:
                width, height = picture.size
        except (OSError, SyntaxError):
            return  # a kind that Pillow does not know, such as JPEG with 12 bits; the decoder judges it
        if width > self._columns or height > self._rows:
            raise self._damaged(f"segment {index} of {self._columns}x{self._rows} pixels holds {width}x{height}")

    def _decode_once(self, data: bytes, index: int) -> np.ndarray:
        options = {}
        if int(self._key.compression) in JPEG:
            options = {"jpegtables": self._page.jpegtables, "jpegheader": self._key.jpegheader}
        decoded, _, _ = self._key.decode(data, index, **options)
        if decoded is None:
            raise self._empty(index)
        return decoded[0]

    def _read_bytes(self, offset: int, size: int, what: str) -> bytes:
        file = self._page.parent.filehandle
        was_closed = file.closed  # tifffile closes the other files of an OME-TIFF
        if was_closed:
            file.open()
        try:
            file.seek(offset)
            data = file.read(size)
        finally:
            if was_closed:
                file.close()
        if len(data) < size:
            raise self._damaged(f"{what} ends before its last byte")
        return data

    def _empty(self, index: int) -> MissingTilesError:
        return MissingTilesError(
            f"{self._name} must hold data for the region. Received: segment {index} is empty. Read another region, or "
            "export the image with all of its tiles"
        )

    def _damaged(self, what: str) -> MicroscopyError:
        return MicroscopyError(f"{self._name} must be complete. Received: {what}. Copy it again, or export it anew")
