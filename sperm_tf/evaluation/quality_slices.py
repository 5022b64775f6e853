"""Slices of an evaluation by the measured quality of the images: the thirds of a split by each figure of quality."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from sperm_tf.config import QUALITY_FIGURES
from sperm_tf.data.decode import UndecodableImageError, decode_rgb
from sperm_tf.data.quality import measure_quality, quality_bin, quality_edges

ALIKE = "all alike"
"""Value of a figure that no third can be made of, such as the size of crops that are all of one size."""
UNREADABLE = "unreadable"
"""Value of every figure for a file that holds no image."""


@dataclasses.dataclass(frozen=True)
class QualityBins:
    """In which third of a split every image is.

    Attributes:
        edges: figure -> where its thirds meet, two numbers; None where they do not part the images in three.
        values: `image_id` -> figure -> one of `sperm_tf.data.quality.BINS`, `ALIKE` or `UNREADABLE`.
    """

    edges: Mapping[str, tuple[float, float] | None]
    values: Mapping[str, Mapping[str, str]]


def bin_by_quality(images: Iterable[tuple[str, bytes]], figures: Sequence[str] = QUALITY_FIGURES) -> QualityBins:
    """Measures images as they are stored and parts them in thirds.

    Args:
        images: `image_id` and the bytes of the file, of every image of a split.
        figures: of `sperm_tf.config.QUALITY_FIGURES`.
    """
    measured = {image_id: _measure(data) for image_id, data in images} if figures else {}
    readable = [found for found in measured.values() if found]
    edges = {figure: _edges([found[figure] for found in readable]) for figure in figures}
    values = {
        image_id: {figure: _value(found, figure, edges[figure]) for figure in figures}
        for image_id, found in measured.items()
    }
    return QualityBins(edges, values)


def _measure(data: bytes) -> dict[str, float] | None:
    try:
        quality = measure_quality(decode_rgb(data).pixels)
    except UndecodableImageError:
        return None
    resolution = float(min(quality.width, quality.height))
    return {"snr": quality.snr, "cnr": quality.cnr, "sharpness": quality.sharpness, "resolution": resolution}


def _edges(values: list[float]) -> tuple[float, float] | None:
    """None where fewer than three kinds of images would come of it."""
    if not values:
        return None
    low, high = quality_edges(values)
    return (low, high) if np.min(values) < low < high else None


def _value(found: Mapping[str, float] | None, figure: str, edges: tuple[float, float] | None) -> str:
    if found is None:
        return UNREADABLE
    return ALIKE if edges is None else quality_bin(found[figure], edges)
