"""Decoding of single frames of a DICOM file, without reading the others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from sperm_tf.data.decode import JPEG_END, MAX_PIXELS, UndecodableImageError, decode_rgb
from sperm_tf.microscopy.errors import MicroscopyError

CACHE_BYTES = 64_000_000
PALETTE = "PALETTE COLOR"
PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2", PALETTE, "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_JPEG = ("1.2.840.10008.1.2.4.50",)
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_ELEMENT_HEADER = 12  # bytes: tag, VR, two reserved, length; encapsulated pixels always have an explicit VR
_TAIL = 32


class FrameDecoder:
    """Decodes frames to the values of the file, RGB where it has colours; the last ones are kept.

    Args:
        file: the open file, which stands at its pixels after `dcmread(..., stop_before_pixels=True)`.
        dataset: of pydicom, without pixels.
        name: what messages call the file.

    Raises:
        MicroscopyError: colours or size are not supported.
    """

    def __init__(self, file: BinaryIO, dataset: Any, *, name: str):
        self._file, self._dataset, self._name = file, dataset, name
        self._pixels_at = file.tell() + _ELEMENT_HEADER
        self.num_frames = int(dataset.get("NumberOfFrames") or 1)
        self._syntax = str(dataset.file_meta.TransferSyntaxUID)
        self._photometric = str(dataset.get("PhotometricInterpretation", ""))
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        if self._photometric not in PHOTOMETRICS:
            raise MicroscopyError(
                f"colours of {name} must be one of {', '.join(PHOTOMETRICS)}. Received: PhotometricInterpretation "
                f"{self._photometric!r}. Export it as RGB"
            )
        if int(dataset.Rows) * int(dataset.Columns) > MAX_PIXELS:
            raise MicroscopyError(
                f"frames of {name} must have at most {MAX_PIXELS} pixels. Received: {dataset.Columns}x{dataset.Rows}. "
                "Export it in tiles"
            )

    def decode(self, tiles: Mapping[tuple[int, int], int]) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        """Decodes frames.

        Args:
            tiles: row and column of the first pixel -> place of the frame.

        Yields:
            Row and column, and the frame's values, [rows, columns, 1 or 3].
        """
        import pydicom.pixels

        missing = sorted({frame for frame in tiles.values() if frame not in self._cache})
        for frame in missing:
            self._check_complete(frame)
        decoded = pydicom.pixels.iter_pixels(self._file, indices=missing) if missing else iter(())
        fresh = dict(zip(missing, map(self._to_values, decoded), strict=True))
        for place, frame in tiles.items():
            yield place, fresh[frame] if frame in fresh else self._cache[frame]
        self._cache.update(fresh)
        while sum(part.nbytes for part in self._cache.values()) > CACHE_BYTES and len(self._cache) > 1:
            self._cache.popitem(last=False)

    def _to_values(self, frame: np.ndarray) -> np.ndarray:
        if self._photometric == PALETTE:
            from pydicom.pixels import apply_color_lut

            frame = apply_color_lut(frame, self._dataset)
        return frame[:, :, None] if frame.ndim == 2 else frame[:, :, :3]

    def _check_complete(self, frame: int) -> None:
        """Refuses compressed frames for which decoders make pixels up."""
        if self._syntax not in (*_JPEG, *_JPEG_2000):
            return
        encoded = self._encoded(frame)
        try:
            if self._syntax in _JPEG:
                decode_rgb(encoded)
            whole = JPEG_END in encoded[-_TAIL:]
        except UndecodableImageError:
            whole = False
        if not whole:
            raise MicroscopyError(
                f"{self._name} must be complete. Received: frame {frame} ends before its last pixel. Copy it again"
            )

    def _encoded(self, frame: int) -> bytes:
        from pydicom.encaps import get_frame

        offsets = None
        if "ExtendedOffsetTable" in self._dataset:
            offsets = self._dataset.ExtendedOffsetTable, self._dataset.ExtendedOffsetTableLengths
        self._file.seek(self._pixels_at)
        return get_frame(self._file, frame, number_of_frames=self.num_frames, extended_offsets=offsets)
