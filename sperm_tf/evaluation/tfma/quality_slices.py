"""Slices of an evaluation by the measured quality of the images: the thirds of a split by each quality metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from sperm_tf.config import QUALITY_FIGURES
from sperm_tf.data.decode import UndecodableImageError, decode_rgb
from sperm_tf.data.quality import measure_quality, quality_bin, quality_edges

ALIKE = "all alike"
"""Value of a figure that is the same for all images, such as the size of crops that are all of one size."""
UNREADABLE = "unreadable"
"""Value of every figure for a file that holds no image."""

Edges = Mapping[str, tuple[float, float] | None]
"""Figure -> where its thirds meet; None where all images are alike or there are none."""


def measure(data: bytes) -> dict[str, float] | None:
    """Each of `sperm_tf.config.QUALITY_FIGURES` of an image as it is stored.

    Args:
        data: content of a file.

    Returns:
        Figure -> value; None for a file that holds no image.
    """
    try:
        quality = measure_quality(decode_rgb(data).pixels)
    except UndecodableImageError:
        return None
    resolution = float(min(quality.width, quality.height))
    return {"snr": quality.snr, "cnr": quality.cnr, "sharpness": quality.sharpness, "resolution": resolution}


def find_edges(measured: Iterable[Mapping[str, float] | None], figures: Sequence[str] = QUALITY_FIGURES) -> Edges:
    """Parts images in thirds by each quality metric.

    Where a third or more of the images share the lowest value, these alone are the lowest "third": the edge moves up to
    the next value. So ties make thirds uneven, and may leave one of them empty, but never hide the worst images.

    Args:
        measured: what `measure` returned for every image.
        figures: of `sperm_tf.config.QUALITY_FIGURES`.
    """
    readable = [found for found in measured if found is not None]
    return {figure: _edges(np.array([found[figure] for found in readable])) for figure in figures}


def bin_image(measured: Mapping[str, float] | None, edges: Edges) -> dict[str, str]:
    """The third that an image falls into by each quality metric.

    Args:
        measured: what `measure` returned for it.
        edges: from `find_edges`.

    Returns:
        Figure -> one of `sperm_tf.data.quality.BINS`, `ALIKE` or `UNREADABLE`.
    """
    if measured is None:
        return dict.fromkeys(edges, UNREADABLE)
    return {figure: ALIKE if pair is None else quality_bin(measured[figure], pair) for figure, pair in edges.items()}


def _edges(values: np.ndarray) -> tuple[float, float] | None:
    if not values.size or values.min() == values.max():
        return None
    low, high = quality_edges(values.tolist())
    if low == values.min():
        low = float(values[values > low].min())
    return low, max(low, high)
