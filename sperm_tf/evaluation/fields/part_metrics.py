"""Parsed cells against annotated ones: Dice of the parts, part IoU, average precision based on part, parsed parts.

AP^p and PCP (percentage of correctly parsed parts) are those of multi-human parsing (Li et al. 2017,
arXiv:1705.07206; Zhao et al. 2018, arXiv:1804.03287), as Chen et al. 2024 (doi:10.1016/j.media.2024.103243) take them
for spermatozoa. The mean IoU of a pair of cells is that of the parts that either has; background does not count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from sperm_tf.evaluation.metrics.intervals import group_bootstrap

PART_NAMES = ("nucleus", "acrosome", "vacuole", "midpiece", "tail")
MIN_IOU = 0.5
MEAN_IOU, AP_50, AP_VOL, PCP_50 = ("part_miou", "ap_part_50", "ap_part_vol", "pcp_50")
_AP_LEVELS = tuple(np.arange(1, 10) / 10)  # of AP^p_vol, the mean over these
Masks = Mapping[str, np.ndarray]
"""Part -> bool [H, W], of one cell or of a field; parts may overlap."""


@dataclasses.dataclass(frozen=True, eq=False)
class PartCounts:
    """What is compared in one field.

    Attributes:
        shared: int64 [5], pixels of each part that both have, all cells together.
        annotated: int64 [5], annotated ones.
        found: int64 [5], found ones.
        best_iou: float64 [M], of each found cell the largest mean IoU with an annotated one.
        best_match: int64 [M], which one; -1 where there is none.
        scores: float64 [M], of the found cells.
        num_cells: annotated cells, N.
        correct: float64 [M], share of the annotated cell's parts that the found cell has with an IoU above `MIN_IOU`.
    """

    shared: np.ndarray
    annotated: np.ndarray
    found: np.ndarray
    best_iou: np.ndarray
    best_match: np.ndarray
    scores: np.ndarray
    num_cells: int
    correct: np.ndarray


def count_parts(annotated: Sequence[Masks], found: Sequence[Masks], scores: Sequence[float]) -> PartCounts:
    """Compares a field.

    Args:
        annotated: cells, their parts by name of `PART_NAMES`; all masks of one shape.
        found: likewise; a missing part is an empty one.
        scores: of the found cells.
    """
    truth, guess = ([_pixels(cell) for cell in cells] for cells in (annotated, found))
    best_iou, best_match, correct = np.zeros(len(guess)), np.full(len(guess), -1), np.zeros(len(guess))
    for place, cell in enumerate(guess):
        ious = [_part_ious(other, cell) for other in truth]
        means = np.array([np.nanmean(iou) if np.isfinite(iou).any() else 0.0 for iou in ious])
        if len(means) and means.max() > 0:
            match = int(means.argmax())
            best_iou[place], best_match[place] = means[match], match
            is_there = [len(pixels) > 0 for pixels in truth[match]]
            correct[place] = np.mean(ious[match][is_there] > MIN_IOU) if any(is_there) else 0.0
    totals = [[_union(cells, part) for part in range(len(PART_NAMES))] for cells in (truth, guess)]
    return PartCounts(
        shared=np.array(
            [
                len(np.intersect1d(one, other, assume_unique=True))
                for one, other in zip(totals[0], totals[1], strict=True)
            ]
        ),
        annotated=np.array([len(pixels) for pixels in totals[0]]),
        found=np.array([len(pixels) for pixels in totals[1]]),
        best_iou=best_iou,
        best_match=best_match,
        scores=np.asarray(scores, np.float64),
        num_cells=len(truth),
        correct=correct,
    )


def summarize_parts(
    counts: Sequence[PartCounts], sessions: Sequence[int], *, samples: int = 1000
) -> dict[str, tuple[float, float, float]]:
    """Metrics over fields.

    Args:
        counts: of every field.
        sessions: of every field; drawn as wholes by the bootstrap.
        samples: of the bootstrap.

    Returns:
        `dice_<part>`, `iou_<part>`, their mean `part_miou`, `ap_part_50`, `ap_part_vol` and `pcp_50` -> value, and the
        bounds of the 95 % interval, NaN for fewer than five sessions.
    """
    pixels = np.array([[count.shared, count.annotated, count.found] for count in counts], np.float64)
    cells = np.array([count.num_cells for count in counts], np.float64)
    ranked = {level: _rank(counts, level) for level in (*_AP_LEVELS, MIN_IOU)}

    def statistic(weights: np.ndarray) -> dict[str, np.ndarray]:
        shared, annotated, found = np.moveaxis(np.tensordot(weights, pixels, axes=1), 1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            dice, iou = 2 * shared / (annotated + found), shared / (annotated + found - shared)
        result = {f"dice_{name}": dice[:, place] for place, name in enumerate(PART_NAMES)}
        result |= {f"iou_{name}": iou[:, place] for place, name in enumerate(PART_NAMES)}
        precisions = {level: _average_precision(weights, cells, *ranked[level][:2]) for level in ranked}
        result[MEAN_IOU] = iou.mean(axis=1)
        result[AP_50] = precisions[MIN_IOU]
        result[AP_VOL] = np.mean([precisions[level] for level in _AP_LEVELS], axis=0)
        fields, is_true, correct = ranked[MIN_IOU]
        with np.errstate(divide="ignore", invalid="ignore"):
            result[PCP_50] = weights[:, fields] @ (is_true * correct) / (weights @ cells)
        return result

    bounds = group_bootstrap(np.asarray(sessions), statistic, samples=samples)
    values = statistic(np.ones((1, len(pixels))))
    return {name: (float(values[name][0]), float(bounds[name][0]), float(bounds[name][1])) for name in values}


def _pixels(cell: Masks) -> list[np.ndarray]:
    """Flat indices of the pixels of each part: tails are long and slim, so lists are shorter than masks."""
    return [np.flatnonzero(cell[name]) if name in cell else np.zeros(0, np.int64) for name in PART_NAMES]


def _part_ious(first: list[np.ndarray], second: list[np.ndarray]) -> np.ndarray:
    """IoU of each part, NaN where neither has it."""
    ious = np.full(len(PART_NAMES), np.nan)
    for part, (one, other) in enumerate(zip(first, second, strict=True)):
        if len(one) or len(other):
            shared = len(np.intersect1d(one, other, assume_unique=True))
            ious[part] = shared / (len(one) + len(other) - shared)
    return ious


def _union(cells: list[list[np.ndarray]], part: int) -> np.ndarray:
    return np.unique(np.concatenate([np.zeros(0, np.int64), *[cell[part] for cell in cells]]))


def _rank(counts: Sequence[PartCounts], level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Field of every found cell by falling score; whether it is the first that fits its cell; and its `correct`."""
    fields = np.repeat(np.arange(len(counts)), [len(count.scores) for count in counts])
    scores, ious, matches, correct = (
        np.concatenate([getattr(count, name) for count in counts]) if counts else np.zeros(0)
        for name in ("scores", "best_iou", "best_match", "correct")
    )
    order = np.argsort(-scores, kind="stable")
    taken, is_true = set(), np.zeros(len(order))
    for rank, place in enumerate(order):
        key = fields[place], matches[place]
        if matches[place] >= 0 and ious[place] > level and key not in taken:
            taken.add(key)
            is_true[rank] = 1
    return fields[order], is_true, correct[order]


def _average_precision(weights: np.ndarray, cells: np.ndarray, fields: np.ndarray, is_true: np.ndarray) -> np.ndarray:
    """Area under the precision envelope over recall, for each row of weights."""
    weight = weights[:, fields]
    hits, seen, total = np.cumsum(weight * is_true, axis=1), np.cumsum(weight, axis=1), weights @ cells
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(seen > 0, hits / seen, 0.0)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        return (weight * is_true * envelope).sum(axis=1) / total
