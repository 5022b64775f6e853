"""From the network's maps to cells: centres are peaks, and pixels go to the centre that their offsets lead to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from sperm_tf.fields.cell_offsets import follow_offsets
from sperm_tf.fields.parsing import (
    ACROSOME,
    BACKGROUND,
    CENTERS,
    MIDPIECE,
    NUCLEUS,
    OFFSETS,
    PARTS,
    STEP,
    TAIL,
    VACUOLES,
)
from sperm_tf.fields.tail_tracing import trace_tails


@dataclasses.dataclass(frozen=True)
class GroupingOptions:
    """Numbers of the grouping; lengths in pixels of the network's output, 0.2 um.

    Attributes:
        min_center: 0-1, smallest peak that is a centre.
        peak_radius: a peak is the highest value so far around.
        max_distance: from where offsets end to the centre.
        min_head: smallest head, in pixels.
        min_piece: smallest piece of a midpiece or tail, in pixels.
    """

    min_center: float = 0.3
    peak_radius: int = 5
    max_distance: float = 9.0
    min_head: int = 40
    min_piece: int = 8


@dataclasses.dataclass(frozen=True, eq=False)
class GroupedCells:
    """The cells of a field on the grid of the network's output.

    Attributes:
        chances: float32 [h, w, 5], probabilities of `sperm_tf.fields.parsing.PART_NAMES`.
        vacuoles: float32 [h, w], probability of a vacuole.
        cells: int32 [h, w], number of the cell, from 1; 0 on the slide, on debris and on tails without head.
        scores: 0-1, the peak of each cell's centre.
    """

    chances: np.ndarray
    vacuoles: np.ndarray
    cells: np.ndarray
    scores: tuple[float, ...]


def group_cells(maps: Mapping[str, np.ndarray], options: GroupingOptions | None = None) -> GroupedCells:
    """Groups the parts of a field into cells.

    Args:
        maps: the outputs of `sperm_tf.fields.parsing.OUTPUTS`, float32 [h, w, C].
        options: None for those that are shipped.
    """
    options = options or GroupingOptions()
    chances = _softmax(maps[PARTS])
    heat = _sigmoid(maps[CENTERS][..., 0])
    kinds = chances.argmax(axis=-1)
    is_part, is_head = kinds != BACKGROUND, np.isin(kinds, (NUCLEUS, ACROSOME))
    centers, scores = _find_centers(heat, chances[..., NUCLEUS] + chances[..., ACROSOME], options)
    cells = np.zeros(kinds.shape, np.int32)
    if len(centers) and is_part.any():
        ends = follow_offsets(maps[OFFSETS] * STEP, is_part)
        cells[is_part] = _nearest(ends, centers, options.max_distance)
        cells = trace_tails(cells, kinds == TAIL, kinds == MIDPIECE)
    cells, kept = _keep_whole(cells, is_head, options)
    return GroupedCells(chances, _sigmoid(maps[VACUOLES][..., 0]), cells, tuple(scores[number - 1] for number in kept))


def _find_centers(heat: np.ndarray, head: np.ndarray, options: GroupingOptions) -> tuple[np.ndarray, list[float]]:
    """Rows and columns of the peaks that lie on a head, and their heights."""
    from scipy import ndimage

    highest = ndimage.maximum_filter(heat, size=2 * options.peak_radius + 1, mode="constant")
    on_head = ndimage.maximum_filter(head, size=5, mode="constant") > 0.5
    centers = np.argwhere((heat == highest) & (heat >= options.min_center) & on_head)
    return centers, [float(heat[tuple(center)]) for center in centers]


def _nearest(points: np.ndarray, centers: np.ndarray, limit: float) -> np.ndarray:
    """The number of the nearest centre, from 1; 0 where none is near."""
    from scipy.spatial import cKDTree

    distances, numbers = cKDTree(centers).query(points, distance_upper_bound=limit)
    return np.where(np.isfinite(distances), numbers + 1, 0)


def _keep_whole(cells: np.ndarray, is_head: np.ndarray, options: GroupingOptions) -> tuple[np.ndarray, list[int]]:
    """Cells with a head, of one piece each, numbered anew; specks of midpiece and tail are dropped."""
    from scipy import ndimage
    from skimage.measure import label

    result, kept = np.zeros_like(cells), list[int]()
    for number, window in enumerate(ndimage.find_objects(cells), start=1):
        if window is None:
            continue
        own = cells[window] == number
        heads = label(own & is_head[window], connectivity=2)
        areas = np.bincount(heads.ravel())[1:]
        if not len(areas) or areas.max() < options.min_head:
            continue
        pieces = label(own & ~is_head[window], connectivity=2)
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        kept.append(number)
        whole = (heads == areas.argmax() + 1) | (sizes >= options.min_piece)[pieces]
        result[window][whole] = len(kept)
    return result, kept


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
