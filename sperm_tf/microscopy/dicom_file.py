"""DICOM files as planes: single images, multi-frame images and tiled whole slides; `pydicom` parses and decodes."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from sperm_tf.microscopy import dicom_values, planes
from sperm_tf.microscopy.dicom_frames import FrameDecoder
from sperm_tf.microscopy.dicom_tiles import TiledPlane, list_tiled_planes
from sperm_tf.microscopy.errors import MicroscopyError, MissingTilesError, load_package


class DicomImageFile:
    """A DICOM file as an `ImageFile`.

    Args:
        file: the open file; the caller closes it.
        bits: significant bits of a sample; None for what the file says.
        name: what messages call it.

    Raises:
        MicroscopyError: the file is damaged, holds no image, or one of a kind that is not supported.
        ImportError: pydicom is not installed.
    """

    format = "DICOM"

    def __init__(self, file: BinaryIO, *, bits: int | None, name: str):
        pydicom = load_package("pydicom", name)
        self._bits, self._name = bits, name
        self._dataset = pydicom.dcmread(file, stop_before_pixels=True)
        missing = [tag for tag in ("Rows", "Columns", "BitsAllocated") if tag not in self._dataset]
        if missing:
            raise MicroscopyError(
                f"{name} must be a DICOM image. Received: a file without {' and '.join(missing)}. Remove it"
            )
        self._frames = FrameDecoder(file, self._dataset, name=name)
        planes.check_number(self._frames.num_frames, file=name)
        if "TotalPixelMatrixRows" in self._dataset:
            self._planes = list_tiled_planes(self._dataset, self._frames.num_frames, name=name)
        else:
            one = self._frames.num_frames == 1
            size = int(self._dataset.Rows), int(self._dataset.Columns)
            self._planes = [
                TiledPlane(planes.name_of([] if one else [("frame", at)]), size, size, {(0, 0): at})
                for at in range(self._frames.num_frames)
            ]
        self.planes = [plane.name for plane in self._planes]

    def open_plane(self, index: int) -> DicomPlane:
        """The plane at a place of `planes`."""
        return DicomPlane(self._dataset, self._frames, self._planes[index], bits=self._bits, name=self._name)

    def close(self) -> None:
        """Does nothing: the file belongs to the caller."""


class DicomPlane:
    """A plane of a DICOM file: one frame, or the tiles of a slide.

    Args:
        dataset: of pydicom, without pixels.
        frames: decodes its frames.
        plane: which frames lie where.
        bits: significant bits of a sample; None for what the file says.
        name: what messages call the file.
    """

    def __init__(self, dataset: Any, frames: FrameDecoder, plane: TiledPlane, *, bits: int | None, name: str):
        self._frames, self._plane, self._name = frames, plane, name
        self.shape = plane.shape
        first_frame = min(plane.tiles.values(), default=0)
        self.intensity = dicom_values.intensity(dataset, first_frame, bits=bits, name=name)
        self.pixel_size = dicom_values.pixel_size(dataset, first_frame, file=name)

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """The file's values in a region, [height, width, 1 or 3]."""
        found = self._plane.tiles_in(y0, x0, height, width)
        values: np.ndarray | None = None
        covered = np.zeros((height, width), bool)
        for (top, left), frame in self._frames.decode(found):
            if values is None:
                values = np.empty((height, width, frame.shape[2]), frame.dtype)
            rows = slice(max(y0, top), min(y0 + height, top + frame.shape[0]))
            columns = slice(max(x0, left), min(x0 + width, left + frame.shape[1]))
            inside = slice(rows.start - y0, rows.stop - y0), slice(columns.start - x0, columns.stop - x0)
            values[inside] = frame[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            covered[inside] = True
        if values is None or not covered.all():
            raise MissingTilesError(
                f"{self._name} must hold all tiles of the region. Received: none for {int((~covered).sum())} of its "
                f"pixels, from row {y0} and column {x0}. Read another region, or export the slide with all of its tiles"
            )
        return values
