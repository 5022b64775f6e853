"""Losses of the network that parses fields; targets are soft, since a pixel of the output covers several."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from keras import ops

from sperm_tf.fields.parsing import CENTERS, OFFSETS, PARTS, VACUOLES

PART_WEIGHTS = (1.0, 2.0, 2.0, 4.0, 4.0)
"""Of the cross-entropy of each class: midpieces and tails are slim and pale."""
VACUOLE_WEIGHT = 4.0
_SMOOTHING = 1.0  # pixels, of the Dice loss, for crops that lack a part


def parts_loss(targets, logits):
    """Weighted cross-entropy and soft Dice loss of the parts (Milletari et al. 2016, arXiv:1606.04797).

    Args:
        targets: [B, h, w, C], shares of the pixel that each class covers.
        logits: [B, h, w, C].

    Returns:
        Scalar.
    """
    weights = ops.convert_to_tensor(np.array(PART_WEIGHTS, np.float32))
    entropy = -ops.mean(ops.sum(weights * targets * ops.log_softmax(logits, axis=-1), axis=-1))
    return entropy + _dice(targets[..., 1:], ops.softmax(logits, axis=-1)[..., 1:])


def vacuoles_loss(targets, logits):
    """Weighted binary cross-entropy and soft Dice loss.

    Args:
        targets: [B, h, w, 1], share of the pixel.
        logits: [B, h, w, 1].

    Returns:
        Scalar.
    """
    entropy = VACUOLE_WEIGHT * targets * ops.softplus(-logits) + (1 - targets) * ops.softplus(logits)
    return ops.mean(entropy) + _dice(targets, ops.sigmoid(logits))


def centers_loss(targets, logits):
    """Focal loss with fewer penalties around a centre (Zhou et al. 2019, arXiv:1904.07850, equation 1).

    Args:
        targets: [B, h, w, 1], a Gaussian of height 1 at each centre.
        logits: [B, h, w, 1].

    Returns:
        Scalar, per centre.
    """
    chance = ops.sigmoid(logits)
    is_center = ops.cast(targets >= 0.999, "float32")
    found = is_center * (1 - chance) ** 2 * ops.softplus(-logits)
    false = (1 - is_center) * (1 - targets) ** 4 * chance**2 * ops.softplus(logits)
    return ops.sum(found + false) / ops.maximum(ops.sum(is_center), 1.0)


def offsets_loss(targets, offsets):
    """Mean absolute error of the offsets of pixels that belong to a cell.

    Args:
        targets: [B, h, w, 3], rows and columns to go, and 1 where they are known.
        offsets: [B, h, w, 2].

    Returns:
        Scalar, in the unit of the offsets.
    """
    known = targets[..., 2:]
    return ops.sum(known * ops.abs(targets[..., :2] - offsets)) / ops.maximum(2 * ops.sum(known), 1.0)


def _dice(targets, chances):
    """1 - Dice over the batch, mean of the classes."""
    axes = (0, 1, 2)
    shared = 2 * ops.sum(targets * chances, axis=axes) + _SMOOTHING
    total = ops.sum(targets, axis=axes) + ops.sum(chances, axis=axes) + _SMOOTHING
    return 1 - ops.mean(shared / total)


def losses() -> dict[str, Callable]:
    """The loss of each output by name."""
    return {PARTS: parts_loss, VACUOLES: vacuoles_loss, CENTERS: centers_loss, OFFSETS: offsets_loss}
