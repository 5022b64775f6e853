"""Cells of the network's grid as masks in pixels of the field."""

from __future__ import annotations

import math

import numpy as np

from sperm_tf.fields.found import CUT_BY_BORDER, NO_TAIL_SEEN, TOUCHING, FoundHead
from sperm_tf.fields.grouping import GroupedCells
from sperm_tf.fields.parsing import ACROSOME, BACKGROUND, MIDPIECE, NUCLEUS, TAIL
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
    found = []
    for number, window in enumerate(ndimage.find_objects(grown), start=1):
        if window is None:
            continue
        own, vacuole, origin = _enlarge(grouped, grown, number, window, size, px_per_grid)
        head = _to_head(own, vacuole, origin, size, is_touching=number in touching, score=grouped.scores[number - 1])
        if head is not None:
            found.append(head)
    return found


def _to_head(
    own: np.ndarray,
    vacuole: np.ndarray,
    origin: tuple[int, int],
    size: tuple[int, int],
    *,
    is_touching: bool,
    score: float,
) -> FoundHead | None:
    y0, x0 = origin
    head = _fill_largest((own == NUCLEUS) | (own == ACROSOME))
    box = _bounds(head)
    if box is None:
        return None
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
        score=score,
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

    first = [int(part.start * px_per_grid) for part in window]
    last = [min(side, math.ceil(part.stop * px_per_grid)) for part, side in zip(window, size, strict=True)]
    margin = 2 + math.ceil(1 / px_per_grid)  # what the interpolation reaches
    near = tuple(slice(max(0, part.start - margin), part.stop + margin) for part in window)
    ends = [min(edge / px_per_grid, side) for edge, side in zip(last, grown.shape, strict=True)]
    (top, left), (bottom, right) = (
        [edge - part.start for edge, part in zip(edges, near, strict=True)]
        for edges in ([edge / px_per_grid for edge in first], ends)
    )
    shape = last[1] - first[1], last[0] - first[0]

    def resize(plane: np.ndarray, kind: Image.Resampling) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(plane))
        return np.asarray(image.resize(shape, kind, box=(left, top, right, bottom)))

    highest = resize(grouped.chances[..., 0][near], Image.Resampling.BILINEAR)
    kinds = np.zeros(highest.shape, np.uint8)
    for kind in range(1, grouped.chances.shape[-1]):
        chance = resize(grouped.chances[..., kind][near], Image.Resampling.BILINEAR)
        kinds[chance > highest] = kind
        highest = np.maximum(highest, chance)
    kinds[resize((grown[near] == number).astype(np.uint8), Image.Resampling.NEAREST) == 0] = BACKGROUND
    return kinds, resize(grouped.vacuoles[near], Image.Resampling.BILINEAR) > 0.5, (first[0], first[1])


def _bounds(mask: np.ndarray) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if len(rows) else None


def _fill_largest(mask: np.ndarray) -> np.ndarray:
    """The largest piece of a mask whose holes are filled."""
    from scipy import ndimage
    from skimage.measure import label

    result = np.zeros_like(mask)
    if (box := _bounds(mask)) is not None:
        labels = label(ndimage.binary_fill_holes(mask[box]), connectivity=2)
        areas = np.bincount(labels.ravel())
        areas[0] = 0
        result[box] = labels == areas.argmax()
    return result


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
