"""Overlapping tiles of a field: every cell belongs to the one tile whose core holds its centre."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

TILE_PX = 2048
"""Side of a core, in pixels of the picture that is worked on; memory follows it."""
GRID_PX = 8
"""Squares and cores begin at multiples of it, where samples of the background lie."""
MAX_SQUARES = 25
"""Most squares that a large field is measured on."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle of pixels.

    Attributes:
        y0: first row.
        x0: first column.
        y1: row behind the last.
        x1: column behind the last.
    """

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def region(self) -> tuple[int, int, int, int]:
        """First row, first column, rows and columns, as `read_region` takes them."""
        return self.y0, self.x0, self.y1 - self.y0, self.x1 - self.x0

    def grow(self, margin: int, shape: tuple[int, int]) -> Box:
        """The box with a margin around it, cut off at the borders of a picture of this height and width."""
        return Box(
            max(0, self.y0 - margin),
            max(0, self.x0 - margin),
            min(shape[0], self.y1 + margin),
            min(shape[1], self.x1 + margin),
        )

    def inside(self, outer: Box) -> tuple[slice, slice]:
        """Where the box lies in an array of the pixels of a box around it."""
        return (
            slice(self.y0 - outer.y0, self.y1 - outer.y0),
            slice(self.x0 - outer.x0, self.x1 - outer.x0),
        )

    def owns(self, y0: int, x0: int, y1: int, x1: int) -> bool:
        """Whether the centre of a box lies in this one; of boxes that cover a picture exactly one says so."""
        return self.y0 <= (y0 + y1) / 2 < self.y1 and self.x0 <= (x0 + x1) / 2 < self.x1


def list_cores(shape: tuple[int, int], tile_px: int) -> list[Box]:
    """Boxes of `tile_px` pixels a side that cover a picture, row by row; the last ones are smaller.

    Args:
        shape: height and width.
        tile_px: a multiple of `GRID_PX`.

    Raises:
        ValueError: it is none.
    """
    if tile_px < GRID_PX or tile_px % GRID_PX:
        raise ValueError(f"tile_px must be a multiple of {GRID_PX}. Received: tile_px={tile_px}.")
    height, width = shape
    return [
        Box(y0, x0, min(y0 + tile_px, height), min(x0 + tile_px, width))
        for y0 in range(0, height, tile_px)
        for x0 in range(0, width, tile_px)
    ]


def spread_squares(shape: tuple[int, int], side_px: int) -> list[Box]:
    """Squares that a field is measured on: all of it, or `MAX_SQUARES` of them, evenly spread.

    Args:
        shape: height and width.
        side_px: length of a side, or so; the sides of what a field is divided into are equal.
    """
    rows, columns = (_divide(side, side_px) for side in shape)
    most = round(MAX_SQUARES**0.5)
    num_rows = min(len(rows), max(most, MAX_SQUARES // len(columns)))
    num_columns = min(len(columns), MAX_SQUARES // num_rows)
    return [
        Box(y0, x0, y1, x1)
        for y0, y1 in _choose_evenly(rows, num_rows)
        for x0, x1 in _choose_evenly(columns, num_columns)
    ]


def _divide(side: int, part_px: int) -> list[tuple[int, int]]:
    ends = np.linspace(0, side, max(1, round(side / part_px)) + 1).astype(int)
    ends[1:-1] -= ends[1:-1] % GRID_PX
    return [(int(start), int(end)) for start, end in itertools.pairwise(ends)]


def _choose_evenly(spans: Sequence[tuple[int, int]], number: int) -> list[tuple[int, int]]:
    return [spans[place] for place in np.linspace(0, len(spans) - 1, number).round().astype(int)]
