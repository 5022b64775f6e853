"""Which images the Explainer shows, and what it says of their maps in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def choose_images(table: Any, images_per_class: int) -> list[int]:
    """Which rows of the predictions to explain, by class.

    Up to half of a class's images are mistakes, those with the highest probability first: they teach most. The rest
    are right answers spread evenly from the surest to the least sure. Where one kind is short, the other fills up.
    Rows without an answer are never chosen. Nothing is drawn at random.

    Args:
        table: `sperm_tf.evaluation.metrics.predictions.Predictions`.
        images_per_class: number of images of every true class, where there are so many.

    Returns:
        Indices of rows; for each class first the mistakes, then the right answers.
    """
    predicted = table.predicted
    rows = np.arange(len(table))
    confidence = np.where(predicted >= 0, table.probabilities[rows, predicted], -1)
    order = sorted(rows[predicted >= 0].tolist(), key=lambda row: (-confidence[row], table.image_ids[row]))
    chosen = []
    for label in range(len(table.class_names)):
        right = [row for row in order if table.labels[row] == label == predicted[row]]
        wrong = [row for row in order if table.labels[row] == label != predicted[row]]
        num_wrong = min(len(wrong), max(images_per_class // 2, images_per_class - len(right)))
        chosen += wrong[:num_wrong] + _spread(right, images_per_class - num_wrong)
    return chosen


def summarize_map(values: np.ndarray) -> dict[str, Any]:
    """What a map says in numbers.

    Args:
        values: float [h, w], 0-1.

    Returns:
        `mean`, `min`, `max`, `peak` (x and y of the highest value, 0-1 from the left and from the top, at the centre of
        its cell), `centre_share`: the share of the map's sum inside the central half of both sides (0.25 for an even
        map), None for a map of zeros.
    """
    height, width = values.shape
    row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    inside = np.outer(_overlap_with_centre(height), _overlap_with_centre(width))
    total = float(values.sum())
    return {
        "mean": round(float(values.mean()), 6),
        "min": round(float(values.min()), 6),
        "max": round(float(values.max()), 6),
        "peak": [round((column + 0.5) / width, 4), round((row + 0.5) / height, 4)],
        "centre_share": round(float((values * inside).sum()) / total, 6) if total > 0 else None,
    }


def compare_maps(reference: np.ndarray, served: np.ndarray) -> dict[str, Any]:
    """How far two sets of maps are apart.

    Args:
        reference: float [N, h, w].
        served: float [N, h, w].

    Returns:
        `num_images`, and `max_relative_difference` and `median_relative_difference`: over the images, the largest
        difference of one cell, divided by the largest value of the reference's map. A map of zeros is divided by 1.
    """
    highest = np.abs(reference).max(axis=(1, 2))
    differences = np.abs(reference - served).max(axis=(1, 2)) / np.where(highest > 0, highest, 1)
    return {
        "num_images": len(reference),
        "max_relative_difference": float(differences.max(initial=0.0)),
        "median_relative_difference": float(np.median(differences)) if len(differences) else 0.0,
    }


def _spread(rows: Sequence[int], count: int) -> list[int]:
    """`count` of the rows at even steps, the first and the last among them."""
    positions = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [rows[position] for position in positions]


def _overlap_with_centre(size: int) -> np.ndarray:
    """Share of each of `size` cells that lies in the central half of the side."""
    edges = np.linspace(0, 1, size + 1)
    overlap = np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25)
    return np.clip(overlap, 0, None) * size
