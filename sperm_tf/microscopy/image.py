"""What a microscope file holds, once it is read."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np

from sperm_tf.microscopy.intensity import IntensityMapping
from sperm_tf.microscopy.pixel_size import PixelSize


@dataclasses.dataclass(frozen=True)
class MicroscopyImage:
    """One plane of a microscope file.

    Attributes:
        pixels: uint8 [height, width, 3], RGB, 0-255; grey is replicated.
        pixel_size_um: side of a pixel in the specimen, in µm; None where the file does not say.
        pixel_size_source: the tag that says it, or why there is none.
        intensity_mapping: which range of the file became 0-255.
        format: `PNG`, `JPEG`, `BMP`, `GIF`, `TIFF`, `OME-TIFF`, `ImageJ TIFF`, `DICOM`, `CZI` or `ND2`.
        plane: name of the plane, one of `list_planes`.
    """

    pixels: np.ndarray
    pixel_size_um: float | None
    pixel_size_source: str
    intensity_mapping: str
    format: str
    plane: str


class Plane(Protocol):
    """One plane of an open file: a decoder of regions, and what the file says about its values.

    Attributes:
        shape: height and width in pixels, as the image is to be seen.
        intensity: which values of `read` become 0-255.
        pixel_size: side of a pixel.
    """

    shape: tuple[int, int]
    intensity: IntensityMapping
    pixel_size: PixelSize

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """The file's values in a region that lies inside, any numeric dtype, [height, width, 1 or 3]."""


class ImageFile(Protocol):
    """An open file.

    Attributes:
        format: as in `MicroscopyImage`.
        planes: names of its planes.
    """

    format: str
    planes: list[str]

    def open_plane(self, index: int) -> Plane:
        """The plane at a place of `planes`; decodes nothing yet."""

    def close(self) -> None:
        """Closes what was opened."""
