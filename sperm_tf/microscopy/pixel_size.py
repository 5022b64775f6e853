"""Side of a pixel in the specimen, in µm, and where it was found."""

from __future__ import annotations

import dataclasses
import math

from sperm_tf.microscopy.errors import MicroscopyError

UNITS_UM = {
    "m": 1e6,
    "meter": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "inch": 25_400.0,
    "in": 25_400.0,
}
"""Name of a unit, in lower case -> µm; the micro sign, the Greek letter and ImageJ's escaped spelling are one."""
PLAUSIBLE_UM = (0.01, 10.0)
"""Range of a light microscope's pixels: 0.01 µm is a tenth of its resolution; 10 µm is a camera without objective."""
SQUARE_TOLERANCE = 0.01
NOT_STATED = "not stated in the file"


@dataclasses.dataclass(frozen=True)
class PixelSize:
    """Side of a pixel.

    Attributes:
        um: in µm; None where the file does not say.
        source: the tag that says it, or why there is none.
    """

    um: float | None = None
    source: str = NOT_STATED


def from_sides(x_um: float, y_um: float, source: str, *, file: str) -> PixelSize:
    """The pixel size of a file that states the sides of a pixel.

    Args:
        x_um: width of a pixel, in µm.
        y_um: its height, in µm.
        source: the tag that says so.
        file: name of the file.

    Returns:
        The side; none where it is no positive number, or none that a light microscope has: 72 pixels per inch is the
        resolution of a printout.

    Raises:
        MicroscopyError: the sides differ by more than 1 %; shapes would be distorted.
    """
    if not all(math.isfinite(side) and side > 0 for side in (x_um, y_um)):
        return PixelSize(None, f"{source} is no length, {NOT_STATED}")
    if abs(x_um - y_um) > SQUARE_TOLERANCE * max(x_um, y_um):
        raise MicroscopyError(
            f"pixels of {file} must be square. Received: {x_um:g} x {y_um:g} µm ({source}). Resample the image to "
            "square pixels"
        )
    if not PLAUSIBLE_UM[0] <= x_um <= PLAUSIBLE_UM[1]:
        return PixelSize(None, f"{source} says {x_um:g} µm, no microscope's pixel: {NOT_STATED}")
    return PixelSize(x_um, source)


def unit_um(unit: str) -> float | None:
    """Length of a unit in µm; None for one that is no length, such as `pixel`."""
    return UNITS_UM.get(unit.strip().casefold().replace("metre", "meter"))
