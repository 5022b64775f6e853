"""The outline of a head as a polygon."""

from __future__ import annotations

import numpy as np

from sperm_tf.fields.found import FoundHead

_TOLERANCE_PX = 0.5


def trace_outline(head: FoundHead) -> np.ndarray:
    """The outline of a head's mask, of its largest part where it has several.

    Args:
        head: of a field.

    Returns:
        float64 [N, 2], x and y in pixels of the field, open, where the first pixel reaches from 0 to 1, as QuPath, COCO
        and ImageJ have it.
    """
    from skimage import measure

    contours = measure.find_contours(np.pad(head.mask, 1).astype(np.float32), 0.5)
    outline = measure.approximate_polygon(max(contours, key=len), _TOLERANCE_PX)[:-1]
    return outline[:, ::-1] + (head.head_x0 - 0.5, head.head_y0 - 0.5)
