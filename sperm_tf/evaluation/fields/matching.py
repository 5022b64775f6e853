"""Which found heads are annotated heads."""

from __future__ import annotations

import dataclasses

import numpy as np

MIN_IOU = 0.5
BORDER_PX = 3.0
"""What lies within so many pixels of the border is left out on both sides: cells there are partly unlabelled."""


@dataclasses.dataclass(frozen=True)
class FieldCounts:
    """What was found in a field, without what lies at its border.

    Attributes:
        annotated: heads.
        found: boxes.
        matched: pairs of both at an IoU of `MIN_IOU` or more.
        iou_sum: over the pairs.
    """

    annotated: int
    found: int
    matched: int
    iou_sum: float


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes.

    Args:
        first: [N, 4]: x0, y0, x1, y1.
        second: [M, 4].

    Returns:
        float64 [N, M], 0-1; 0 where both are empty.
    """
    first, second = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (first, second))
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def leave_out_border(boxes: np.ndarray, width: int, height: int, *, margin_px: float = BORDER_PX) -> np.ndarray:
    """Boxes that keep away from the border of the field by `margin_px` pixels.

    Args:
        boxes: [N, 4].
        width: of the field.
        height: of the field.
        margin_px: pixels.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    inside = (boxes[:, :2] >= margin_px).all(axis=1)
    return boxes[inside & (boxes[:, 2] <= width - margin_px) & (boxes[:, 3] <= height - margin_px)]


def match_boxes(annotated: np.ndarray, found: np.ndarray, *, min_iou: float = MIN_IOU) -> list[tuple[int, int]]:
    """Pairs of boxes, one to one, with the largest total IoU; none below `min_iou`.

    Args:
        annotated: [N, 4].
        found: [M, 4].
        min_iou: 0-1.

    Returns:
        Indices of annotated and of found boxes.
    """
    from scipy import optimize

    iou = box_iou(annotated, found)
    enough = np.where(iou >= min_iou, iou, 0.0)
    rows, columns = optimize.linear_sum_assignment(enough, maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if enough[row, column] > 0]


def count_field(annotated: np.ndarray, found: np.ndarray, *, width: int, height: int) -> FieldCounts:
    """Counts a field.

    Args:
        annotated: [N, 4].
        found: [M, 4].
        width: of the field in pixels.
        height: of the field in pixels.
    """
    annotated, found = (leave_out_border(boxes, width, height) for boxes in (annotated, found))
    pairs = match_boxes(annotated, found)
    iou = box_iou(annotated, found)
    return FieldCounts(len(annotated), len(found), len(pairs), float(sum(iou[pair] for pair in pairs)))
