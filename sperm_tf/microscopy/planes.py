"""Names of the planes of a file, and the choice of one."""

from __future__ import annotations

from collections.abc import Sequence

from sperm_tf.microscopy.errors import PlaneChoiceError

_MAX_LISTED = 20
_COLOURS = (("red", "r"), ("green", "g"), ("blue", "b"))
RGB = "RGB"


def choose(planes: Sequence[str], plane: int | str | None, *, file: str) -> int:
    """The place of the chosen plane.

    Args:
        planes: names of the planes of a file.
        plane: a name, or a place counted from 0; None for a file that has only one.
        file: name of the file.

    Raises:
        PlaneChoiceError: there are several and none was chosen, or there is no such plane.
    """
    if plane is None and len(planes) == 1:
        return 0
    if isinstance(plane, int) and not isinstance(plane, bool) and 0 <= plane < len(planes):
        return plane
    if isinstance(plane, str) and plane in planes:
        return planes.index(plane)
    listed = ", ".join(repr(name) for name in planes[:_MAX_LISTED])
    more = f" and {len(planes) - _MAX_LISTED} more" if len(planes) > _MAX_LISTED else ""
    raise PlaneChoiceError(
        f"plane must be one of the {len(planes)} planes of {file}: {listed}{more}. Received: plane={plane!r}. Pass a "
        "name, or its place counted from 0, or read each that list_planes gives"
    )


def rgb_order(channels: Sequence[str | None]) -> tuple[int, int, int] | None:
    """Where the red, green and blue channel stand, by their names; None where three channels are not called so.

    Display colours are no sign: three fluorescent dyes have them, too.

    Args:
        channels: name of each channel, None where it has none.
    """
    names = [(name or "").strip().casefold() for name in channels]
    if len(names) != len(_COLOURS):
        return None
    places = [next((place for place, name in enumerate(names) if name in colour), None) for colour in _COLOURS]
    if None in places:
        return None
    return places[0], places[1], places[2]  # type: ignore[return-value]


def name_of(parts: Sequence[tuple[str, int | str]]) -> str:
    """The name of a plane, such as `image=1 Z=3`; `image=0` where there is nothing to tell apart."""
    return " ".join(f"{axis}={place}" for axis, place in parts) or "image=0"
