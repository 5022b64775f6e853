"""PNG, JPEG, BMP and GIF, by the project's one decoder."""

from __future__ import annotations

import numpy as np

from sperm_tf.data.decode import UndecodableImageError, decode_rgb
from sperm_tf.microscopy import planes
from sperm_tf.microscopy.intensity import from_bits
from sperm_tf.microscopy.pixel_size import PixelSize


class PicturePlane:
    """The decoded pixels of a picture."""

    def __init__(self, pixels: np.ndarray, source_format: str):
        self._pixels = pixels
        self.shape = pixels.shape[0], pixels.shape[1]
        self.intensity = from_bits(8, f"8 bits of {source_format}; of 16 bits the upper 8")
        self.pixel_size = PixelSize()

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """Pixels of a region, uint8 [height, width, 3]."""
        return self._pixels[y0 : y0 + height, x0 : x0 + width]


class PictureFile:
    """A picture as an `ImageFile`.

    Args:
        data: content of the file.
        name: what messages call it.

    Raises:
        UndecodableImageError: `sperm_tf.data.decode.decode_rgb` refuses it.
    """

    def __init__(self, data: bytes, *, name: str):
        try:
            decoded = decode_rgb(data)
        except UndecodableImageError as error:
            raise UndecodableImageError(f"{name}: {error}") from error
        self.format = decoded.source_format
        self.planes = [planes.name_of([])]
        self._plane = PicturePlane(decoded.pixels, decoded.source_format)

    def open_plane(self, index: int) -> PicturePlane:
        """The picture; `index` is 0."""
        return self._plane

    def close(self) -> None:
        """Does nothing: all bytes are read."""
