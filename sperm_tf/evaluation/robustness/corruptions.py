"""Images made worse in thirteen ways and five severities, to see what an answer is still worth then.

A drawing depends on the image's seed and on the kind of corruption, not on the severity: the same direction, the same
grain, only more of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from sperm_tf.evaluation.robustness import acquisition as camera
from sperm_tf.evaluation.robustness import optics as slide

SEVERITIES = (1, 2, 3, 4, 5)
CORRUPTIONS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "poisson_noise": camera.add_poisson_noise,
    "gaussian_noise": camera.add_gaussian_noise,
    "speckle": camera.add_speckle,
    "defocus": slide.defocus,
    "motion_blur": slide.blur_by_motion,
    "jpeg": camera.compress,
    "down_sampling": camera.down_sample,
    "brightness": camera.shift_brightness,
    "contrast": camera.reduce_contrast,
    "stain_shift": slide.shift_stain,
    "white_balance": camera.shift_white_balance,
    "vignette": slide.vignette,
    "debris": slide.occlude,
}
"""Name -> function of an image (float64 [H, W, 3], 0-1), a severity and a generator; see the two modules."""


def corrupt(pixels: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
    """Makes an image worse.

    Args:
        pixels: uint8 [H, W, 3], RGB, 0-255, as decoded, before any padding or resizing.
        name: of `CORRUPTIONS`.
        severity: 1 (visible) to 5 (hardly to be worked with).
        seed: not negative; equal arguments give equal pixels. `seed_of` makes one for an image.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: an argument is none of these.
    """
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            f"pixels must be uint8 [height, width, 3]. Received: {pixels.dtype} {list(pixels.shape)}. "
            f"Decode the file with sperm_tf.data.decode.decode_rgb."
        )
    if name not in CORRUPTIONS:
        raise ValueError(f"name must be one of {', '.join(CORRUPTIONS)}. Received: name={name!r}. Choose one of them.")
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be an integer from 1 to 5. Received: severity={severity!r}. 1 is the mildest.")
    if seed < 0:
        raise ValueError(f"seed must not be negative. Received: seed={seed!r}. Take seed_of(image_id).")
    rng = np.random.default_rng([seed, int.from_bytes(name.encode(), "big")])
    corrupted = CORRUPTIONS[name](pixels / 255, severity, rng)
    return np.rint(np.clip(corrupted, 0, 1) * 255).astype(np.uint8)


def seed_of(image_id: str) -> int:
    """A seed, 0 to 2⁶⁴ - 1, that an image has on every machine, in every process and version of Python."""
    return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "big")
