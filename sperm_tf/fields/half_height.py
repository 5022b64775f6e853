"""The outline of a head at half the height of its edge.

One threshold for a whole field lies low on the steep edge of a dark nucleus, so outside of it, and high on that of a
pale acrosome, so inside. The height of an edge is therefore local: that of the stain a little further inside.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.fields.head_shapes import Region
from sperm_tf.fields.regions import open_by_disk
from sperm_tf.fields.stain import Stain

_MIN_EXCESS = 0.05
"""By which the level set lies above 0 in what is head though it is pale, and below in what is no head though dark."""
_THIN_SHARE = 0.6  # of the inner radius of a region, where that is less than twice the depth


@dataclasses.dataclass(frozen=True)
class EdgeOptions:
    """Where the outline lies on the edge; lengths in lengths of a median head, L.

    Attributes:
        depth: how far inside a first outline the stain is taken for the height of the edge.
        reach: how far outside a first outline the edge is looked for.
        share: of the height, for an edge as dark as the darkest tenth of the head.
        falloff: power of the height, by that tenth, with which the share falls for a paler edge: an acrosome thins
            out towards its rim, so half of the stain inside is more than half of what its edge has.
        opening: radius of the disk; tails and slender midpieces are thinner.
    """

    depth: float = 0.1
    reach: float = 0.15
    share: float = 0.5
    falloff: float = 0.7
    opening: float = 0.1


def refine_outline(
    region: Region, labels: np.ndarray, stain: Stain, *, head_px: float, options: EdgeOptions
) -> tuple[np.ndarray, tuple[int, int]]:
    """Finds the outline of a head whose first outline is a threshold's.

    Args:
        region: the head, with its first outline.
        labels: int [H, W], all regions of the field; those of others are left to them.
        stain: of the field.
        head_px: L in pixels.
        options: where the outline lies.

    Returns:
        A level set, float32 [h, w], above 0 on the head, in a window of the field, and the window's first row and
        column.
    """
    from scipy import ndimage

    (y0, x0, y1, x1), margin = region.box, int(np.ceil(options.reach * head_px)) + 2
    top, left = max(0, y0 - margin), max(0, x0 - margin)
    window = slice(top, y1 + margin), slice(left, x1 + margin)
    amount = stain.amount[window]
    first = np.zeros(amount.shape, bool)
    first[y0 - top : y1 - top, x0 - left : x1 - left] = region.mask
    # A head that is cut by the field's edge goes on behind it.
    depth = ndimage.distance_transform_edt(np.pad(first, 1, mode="edge"))[1:-1, 1:-1]
    inner = depth > min(options.depth * head_px, _THIN_SHARE * depth.max())
    away, nearest = ndimage.distance_transform_edt(~inner, return_indices=True)
    height = np.maximum(amount[tuple(nearest)], 1.0)
    share = options.share * np.minimum(height / region.darkness, 1) ** options.falloff
    excess = amount / height - share
    near = (away <= (options.depth + options.reach) * head_px) & (first | (labels[window] == 0))
    head = ndimage.binary_fill_holes(inner | (near & (excess > 0)))
    parts, _ = ndimage.label(inner | open_by_disk(head, options.opening * head_px))
    head = parts == np.bincount(parts[inner]).argmax()
    level = np.where(head, np.maximum(excess, _MIN_EXCESS), np.minimum(excess, -_MIN_EXCESS))
    return level.astype(np.float32), (top, left)
