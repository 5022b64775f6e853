"""Mapping of a file's values to 0-255 by the range that the file itself states."""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.data.decode import DEEP_BRIGHT_LEVEL, DEEP_BRIGHT_ONE_IN
from sperm_tf.microscopy.errors import MicroscopyError

BYTE_BITS = 8
MAX_BITS = 16


@dataclasses.dataclass(frozen=True)
class IntensityMapping:
    """Which values become 0-255.

    Attributes:
        low: the value that becomes 0.
        high: the value that becomes 255.
        description: the same in words, with where it was found.
        bits: where the range is that of so many bits; None for any other range.
        inverted: high values are dark (MinIsWhite, MONOCHROME1).
        assumed: the range is that of the storage, since the file states none; the values must reach its upper part.
    """

    low: float
    high: float
    description: str
    bits: int | None = None
    inverted: bool = False
    assumed: bool = False

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Maps values of any shape to uint8, 0-255.

        Of integers with more than 8 bits the upper 8 count, as in 16-bit PNGs (`sperm_tf.data.decode`); any other range
        is scaled linearly and rounded. Values outside the range become its ends.
        """
        if self.bits is not None and self.bits >= BYTE_BITS:
            mapped = np.clip(values, 0, int(self.high))
            mapped = (mapped >> (self.bits - BYTE_BITS)).astype(np.uint8)
        else:
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise MicroscopyError("intensities must be finite. Received: NaN or infinity. Export the image anew")
            scaled = (values.astype(np.float64) - self.low) * (255 / (self.high - self.low))
            mapped = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
        return 255 - mapped if self.inverted else mapped


def from_bits(bits: int, source: str, *, inverted: bool = False, assumed: bool = False) -> IntensityMapping:
    """The mapping of unsigned integers with so many significant bits.

    Args:
        bits: 1 to 16.
        source: where the number was found.
        inverted: high values are dark.
        assumed: the file states no range, and the storage has more than 8 bits.
    """
    if not 1 <= bits <= MAX_BITS:
        raise MicroscopyError(f"significant bits must be 1 to {MAX_BITS}. Received: bits={bits} ({source})")
    high = 2**bits - 1
    return IntensityMapping(0, high, _describe(0, high, source, inverted), bits, inverted, assumed)


def from_range(low: float, high: float, source: str, *, inverted: bool = False) -> IntensityMapping:
    """The linear mapping of a range.

    Args:
        low: the value that becomes 0.
        high: the value that becomes 255.
        source: where the range was found.
        inverted: high values are dark.

    Raises:
        MicroscopyError: the range is empty.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise MicroscopyError(
            f"the range of intensities must not be empty. Received: {low:g} to {high:g} ({source}). Export it anew"
        )
    return IntensityMapping(low, high, _describe(low, high, source, inverted), inverted=inverted)


def check_uses_range(levels: np.ndarray, *, file: str) -> None:
    """Refuses an image whose range had to be assumed and whose values stay in the lowest part of it.

    Cameras of 10 to 14 bits write their values into 16 without scaling them: mapped by the storage they are all but
    black. The limit is that of 16-bit PNGs.

    Args:
        levels: uint8 [..., 1 or 3], mapped, not inverted.
        file: name of the file.

    Raises:
        MicroscopyError: fewer than one pixel in 50 reaches 64 of 255 in a channel.
    """
    brightest = levels.max(axis=-1)
    if np.count_nonzero(brightest >= DEEP_BRIGHT_LEVEL) * DEEP_BRIGHT_ONE_IN < brightest.size:
        raise MicroscopyError(
            f"{file} must state its range of intensities or use all of its 16 bits. Received: values of which 98 % "
            f"are below a quarter of the range, as of a camera with 10 to 14 bits. Pass bits=12 (or 10, 14; 16 if it "
            "is that dark), or export it with 8 bits"
        )


def _describe(low: float, high: float, source: str, inverted: bool) -> str:
    return f"{low:g}-{high:g} to {'255-0' if inverted else '0-255'} ({source})"
