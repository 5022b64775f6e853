"""Maps of a network that makes no mistake, from drawn masks."""

import numpy as np

from sperm_tf.fields.parsing import CENTERS, OFFSETS, PART_NAMES, PARTS, STEP, STRIDE, VACUOLES
from sperm_tf.training.field_samples import build_sample, draw_centers

SURE = 12.0  # logit


def perfect_maps(field):
    """Outputs of the network for a `SyntheticField` whose sides are equal and even."""
    sample = build_sample(field.image, field.parts, field.instances, field.parts_below, field.instances_below)
    grid = field.parts.shape[0] // STRIDE
    shares = np.eye(len(PART_NAMES))[sample.parts].reshape(grid, STRIDE, grid, STRIDE, -1).mean(axis=(1, 3))
    vacuoles = sample.vacuoles.reshape(grid, STRIDE, grid, STRIDE).mean(axis=(1, 3))
    heat = np.clip(draw_centers(sample.centers, grid), 1e-6, 1 - 1e-6)
    return {
        PARTS: np.log(shares + 1e-3).astype(np.float32),
        VACUOLES: (SURE * (2 * vacuoles - 1))[..., None].astype(np.float32),
        CENTERS: np.log(heat / (1 - heat))[..., None].astype(np.float32),
        OFFSETS: sample.offsets.astype(np.float32) / STEP,
    }
