"""The TIFF tag Orientation: how stored rows and columns lie in the image that is to be seen.

TIFF 6.0, section 8 (tag 274). Pillow obeys it, tifffile does not.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.microscopy.errors import MicroscopyError


@dataclasses.dataclass(frozen=True)
class Orientation:
    """What turns the stored image into the one that is seen: a transposition, then flips.

    Attributes:
        transposed: rows and columns are exchanged first.
        flips_y: the rows are then reversed.
        flips_x: the columns are then reversed.
    """

    transposed: bool
    flips_y: bool
    flips_x: bool

    def shape(self, stored: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the image that is seen."""
        return (stored[1], stored[0]) if self.transposed else stored

    def stored_region(
        self, shape: tuple[int, int], y0: int, x0: int, height: int, width: int
    ) -> tuple[int, int, int, int]:
        """Where a region of the image that is seen lies in the stored one.

        Args:
            shape: height and width of the image that is seen.
            y0: first row of the region.
            x0: first column.
            height: rows.
            width: columns.

        Returns:
            First row, first column, rows and columns, stored.
        """
        y0 = shape[0] - y0 - height if self.flips_y else y0
        x0 = shape[1] - x0 - width if self.flips_x else x0
        return (x0, y0, width, height) if self.transposed else (y0, x0, height, width)

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Turns stored pixels, [rows, columns, ...], into those that are seen."""
        seen = np.swapaxes(stored, 0, 1) if self.transposed else stored
        return seen[:: -1 if self.flips_y else 1, :: -1 if self.flips_x else 1]


_BY_TAG = {
    1: Orientation(False, False, False),
    2: Orientation(False, False, True),
    3: Orientation(False, True, True),
    4: Orientation(False, True, False),
    5: Orientation(True, False, False),
    6: Orientation(True, False, True),
    7: Orientation(True, True, True),
    8: Orientation(True, True, False),
}


def from_tag(value: int, *, file: str) -> Orientation:
    """The orientation of a value of the tag.

    Raises:
        MicroscopyError: the value is not 1 to 8.
    """
    if value not in _BY_TAG:
        raise MicroscopyError(f"Orientation of {file} must be 1 to 8. Received: Orientation={value}. Export it anew")
    return _BY_TAG[value]
