"""Cells of the network's grid as masks in pixels of the field."""

from __future__ import annotations

import numpy as np

from sperm_tf.fields.found import CUT_BY_BORDER, NO_TAIL_SEEN, TOUCHING, FoundHead
from sperm_tf.fields.grouping import GroupedCells
from sperm_tf.fields.parsing import ACROSOME, MIDPIECE, NUCLEUS, TAIL
from sperm_tf.morphometry.masks import CellMasks

_GROWTH = 2  # pixels of the grid by which a cell grows, so that the outline is that of the parts
_MIN_TAIL = 0.02  # area by the squared length of the head: 1 um of a tail


def to_heads(grouped: GroupedCells, size: tuple[int, int], px_per_grid: float) -> list[FoundHead]:
    """The cells of a field.

    Args:
        grouped: on the grid.
        size: height and width of the field.
        px_per_grid: pixels of the field in one pixel of the grid.

    Returns:
        One for each cell whose head has a pixel in the field.
    """
    from scipy import ndimage
    from skimage.segmentation import expand_labels

    grown, touching = expand_labels(grouped.cells, _GROWTH), _find_touching(grouped)
    found = [
        _to_head(grouped, grown, number, window, size, px_per_grid, is_touching=number in touching)
        for number, window in enumerate(ndimage.find_objects(grown), start=1)
        if window is not None
    ]
    return [head for head in found if head is not None]


def _to_head(
    grouped: GroupedCells,
    grown: np.ndarray,
    number: int,
    window: tuple[slice, slice],
    size: tuple[int, int],
    px_per_grid: float,
    *,
    is_touching: bool,
) -> FoundHead | None:
    from scipy import ndimage

    own, vacuole, (y0, x0) = _enlarge(grouped, grown, number, window, size, px_per_grid)
    head = ndimage.binary_fill_holes(np.isin(own, (NUCLEUS, ACROSOME)))
    head = _largest(head)
    rows, columns = np.flatnonzero(head.any(axis=1)), np.flatnonzero(head.any(axis=0))
    if not len(rows):
        return None
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    masks = CellMasks(
        head=head,
        acrosome=(own == ACROSOME) & head,
        vacuoles=vacuole & head,
        midpiece=own == MIDPIECE,
        tail=own == TAIL,
    )
    top, bottom = y0 + int(box[0].start), y0 + int(box[0].stop)
    left, right = x0 + int(box[1].start), x0 + int(box[1].stop)
    is_cut = top == 0 or left == 0 or bottom == size[0] or right == size[1]
    length, width = _axes(head[box])
    tail_area = np.count_nonzero(own == TAIL)
    flags = {
        CUT_BY_BORDER: is_cut,
        TOUCHING: is_touching,
        NO_TAIL_SEEN: tail_area < _MIN_TAIL * length**2 and not is_cut,
    }
    return FoundHead(
        left,
        top,
        right,
        bottom,
        head[box],
        length,
        width,
        tuple(flag for flag, holds in flags.items() if holds),
        parts=masks,
        parts_origin=(x0, y0),
        score=grouped.scores[number - 1],
    )


def _enlarge(
    grouped: GroupedCells,
    grown: np.ndarray,
    number: int,
    window: tuple[slice, slice],
    size: tuple[int, int],
    px_per_grid: float,
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Part of every pixel of a window of the field, 0 where another cell or nothing is; vacuoles; its first pixel."""
    from PIL import Image

    first = [int(np.floor(part.start * px_per_grid)) for part in window]
    last = [min(side, int(np.ceil(part.stop * px_per_grid))) for part, side in zip(window, size, strict=True)]
    shape = last[0] - first[0], last[1] - first[1]
    left, top, right, bottom = (edge / px_per_grid for edge in (first[1], first[0], last[1], last[0]))
    box = left, top, min(right, grown.shape[1]), min(bottom, grown.shape[0])
    planes = [*np.moveaxis(grouped.chances, -1, 0), grouped.vacuoles]
    enlarged = [
        np.asarray(Image.fromarray(plane).resize(shape[::-1], Image.Resampling.BILINEAR, box=box)) for plane in planes
    ]
    own = Image.fromarray((grown == number).astype(np.uint8)).resize(shape[::-1], Image.Resampling.NEAREST, box=box)
    kinds = np.where(np.asarray(own) > 0, np.argmax(enlarged[:-1], axis=0), 0)
    return kinds, enlarged[-1] > 0.5, (first[0], first[1])


def _largest(mask: np.ndarray) -> np.ndarray:
    from skimage.measure import label

    labels = label(mask, connectivity=2)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return labels == areas.argmax() if areas.any() else mask


def _axes(mask: np.ndarray) -> tuple[float, float]:
    """Major and minor axis of the ellipse with the mask's second moments."""
    from skimage.measure import regionprops

    region = regionprops(mask.astype(np.uint8))[0]
    return max(float(region.axis_major_length), 1.0), max(float(region.axis_minor_length), 1.0)


def _find_touching(grouped: GroupedCells) -> set[int]:
    """Numbers of the cells whose heads are neighbours of another head on the grid."""
    heads = np.where(grouped.chances.argmax(axis=-1) <= ACROSOME, grouped.cells, 0)
    height, width = heads.shape
    touching: set[int] = set()
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = heads[: height - down, max(0, -right) : width - max(0, right)]
        there = heads[down:, max(0, right) : width - max(0, -right)]
        meet = (here > 0) & (there > 0) & (here != there)
        touching.update(np.unique(here[meet]).tolist(), np.unique(there[meet]).tolist())
    return touching
