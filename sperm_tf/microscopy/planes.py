"""Names of the planes of a file, and the choice of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sperm_tf.microscopy.errors import MicroscopyError, PlaneChoiceError

MAX_PLANES = 1_000_000
"""Of a file, the tiles of a slide in DICOM among them; a damaged file may state thousands of millions."""
_MAX_LISTED = 20
_COLOURS = (("red", "r"), ("green", "g"), ("blue", "b"))
RGB = "RGB"
CHANNEL = "C"
NUM_COLOURS = len(_COLOURS)
Labels = tuple[tuple[str, int | str], ...]
"""Axis and place on it, for each axis that tells planes apart."""
_Component = TypeVar("_Component")


def check_number(number: int, *, file: str) -> None:
    """Refuses a file that states more planes than any has, before they are listed.

    Args:
        number: of planes, or of frames.
        file: name of the file.

    Raises:
        MicroscopyError: there are more than `MAX_PLANES`.
    """
    if number > MAX_PLANES:
        raise MicroscopyError(
            f"{file} must have at most {MAX_PLANES:,} planes. Received: {number:,}. Copy it again, or export it anew"
        )


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


def join_colours(
    units: Sequence[tuple[Labels, tuple[_Component, ...]]], channels: Sequence[str | None]
) -> list[tuple[Labels, tuple[_Component, ...]]]:
    """Joins three grey channels to a colour image where they are called red, green and blue; offers it where not.

    Args:
        units: place of each plane on the axes, and what it is read from: one component, or red, green and blue.
        channels: name of each channel, None where it has none.
    """
    groups: dict[Labels, list[_Component]] = {}
    for shown, components in units:
        if len(components) == 1 and any(axis == CHANNEL for axis, _ in shown):
            groups.setdefault(tuple(part for part in shown if part[0] != CHANNEL), []).append(components[0])
    if not groups or any(len(group) != NUM_COLOURS for group in groups.values()):
        return list(units)
    order = rgb_order(channels)
    joined = [
        (shown if order else (*shown, (CHANNEL, RGB)), tuple(group[place] for place in order or range(NUM_COLOURS)))
        for shown, group in groups.items()
    ]
    return joined if order else [*units, *joined]


def name_of(parts: Sequence[tuple[str, int | str]]) -> str:
    """The name of a plane, such as `image=1 Z=3`; `image=0` where there is nothing to tell apart."""
    return " ".join(f"{axis}={place}" for axis, place in parts) or "image=0"
