"""Which part of which cell every pixel of a drawn field shows, and what lies below it."""

from __future__ import annotations

import numpy as np

from sperm_tf.synthesis.canvas import Canvas

PART_NAMES = ("background", "nucleus", "acrosome", "vacuole", "midpiece", "tail")
"""Names of the values of `parts`. Residual cytoplasm belongs to the midpiece."""
BACKGROUND, NUCLEUS, ACROSOME, VACUOLE, MIDPIECE, TAIL = range(6)
HEAD_PARTS = (NUCLEUS, ACROSOME, VACUOLE)
_RANKS = np.array([0, 3, 3, 3, 2, 1], np.uint8)  # heads hide midpieces, midpieces hide tails


class Layers:
    """The two uppermost cells of every pixel.

    Attributes:
        parts: uint8 [H, W], part of the uppermost cell, an index into `PART_NAMES`.
        instances: uint16 [H, W], number of that cell, from 1; 0 is none.
        parts_below: uint8 [H, W], part of the next cell below.
        instances_below: uint16 [H, W], its number.
    """

    def __init__(self, height: int, width: int):
        self.parts = np.zeros((height, width), np.uint8)
        self.instances = np.zeros((height, width), np.uint16)
        self.parts_below = np.zeros((height, width), np.uint8)
        self.instances_below = np.zeros((height, width), np.uint16)

    def add(self, parts: np.ndarray, rows: slice, columns: slice, instance: int) -> None:
        """Lays a cell on top.

        Args:
            parts: uint8 [h, w], the cell's own parts in a window.
            rows: rows of the window.
            columns: its columns.
            instance: number of the cell.
        """
        region = (rows, columns)
        top, top_id = self.parts[region], self.instances[region]
        below, below_id = self.parts_below[region], self.instances_below[region]
        is_above = (parts > 0) & (_RANKS[parts] >= _RANKS[top])
        is_other = is_above & (top_id != instance)  # a cell is not below itself
        below[is_other], below_id[is_other] = top[is_other], top_id[is_other]
        top[is_above], top_id[is_above] = parts[is_above], instance
        is_between = (parts > 0) & ~is_above & (top_id != instance) & (_RANKS[parts] >= _RANKS[below])
        below[is_between], below_id[is_between] = parts[is_between], instance

    def crop(self, margin: int) -> None:
        """Cuts `margin` pixels off every side."""
        inner = slice(margin, -margin)
        for name in ("parts", "instances", "parts_below", "instances_below"):
            setattr(self, name, np.ascontiguousarray(getattr(self, name)[inner, inner]))

    def renumber(self, numbers: np.ndarray) -> None:
        """Gives cells other numbers: uint16 [N + 1], the new number of each old one."""
        self.instances, self.instances_below = numbers[self.instances], numbers[self.instances_below]


def near_path(canvas: Canvas, points_um: np.ndarray, radii_um: np.ndarray) -> tuple[np.ndarray, slice, slice]:
    """Pixels whose centre lies within a distance of a path.

    Args:
        canvas: gives size and pixel size.
        points_um: float [N, 2], x and y, at most a pixel apart.
        radii_um: float [N], the distance at each point.

    Returns:
        bool [h, w], and the rows and columns of its window; an empty window where the path is outside.
    """
    size = canvas.pixel_size_um
    places = points_um / size + (canvas.width / 2 - 0.5, canvas.height / 2 - 0.5)
    radii = np.broadcast_to(radii_um / size, len(places))
    reach = int(np.ceil(radii.max())) + 1 if len(radii) else 1
    limits = np.array([canvas.width, canvas.height]) + reach
    kept = ((places > -reach) & (places < limits)).all(axis=1)
    places, radii = places[kept], radii[kept]
    if not len(places):
        return np.zeros((0, 0), bool), slice(0, 0), slice(0, 0)
    first = np.floor(places.min(axis=0)).astype(int) - reach
    width, height = np.ceil(places.max(axis=0)).astype(int) + reach + 1 - first
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), axis=-1).reshape(-1, 2)
    centers = np.round(places).astype(int)
    distances = ((centers[:, None] + steps - places[:, None]) ** 2).sum(axis=2)
    point, step = np.nonzero(distances <= radii[:, None] ** 2)
    column, row = (centers[point] + steps[step] - first).T
    mask = np.zeros((height, width), bool)
    mask[row, column] = True
    top, left = max(0, -first[1]), max(0, -first[0])
    mask = mask[top : canvas.height - first[1], left : canvas.width - first[0]]
    rows = slice(int(first[1]) + top, int(first[1]) + top + mask.shape[0])
    return mask, rows, slice(int(first[0]) + left, int(first[0]) + left + mask.shape[1])
