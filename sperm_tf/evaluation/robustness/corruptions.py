"""Corruptions of images: thirteen kinds at five severities.

A drawing depends on the image's seed and on the kind of corruption, not on the severity: the same direction, the same
grain, only more of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from sperm_tf.evaluation.robustness import acquisition, optics

SEVERITIES = (1, 2, 3, 4, 5)


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One way in which an image gets worse.

    Attributes:
        apply: function of an image (float64 [H, W, 3], 0-1), a strength and a generator.
        strengths: what `apply` gets at each of `SEVERITIES`.
        unit: what a strength measures. A length in pixels is for an image of 224 pixels a side, and is scaled with the
            longer side.
        source: where the strengths come from.
    """

    apply: Callable[[np.ndarray, Any, np.random.Generator], np.ndarray]
    strengths: tuple[Any, Any, Any, Any, Any]
    unit: str
    source: str

    def __call__(self, image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
        """The image at a severity of 1 to 5; it may leave 0-1."""
        return self.apply(image, self.strengths[severity - 1], rng)


_IMAGENET_C = "ImageNet-C (Hendrycks and Dietterich 2019, ICLR, arXiv:1903.12261), as its code has them"
_HERE = "chosen here"
_DOWN_SAMPLING = (
    f"{_HERE}: those of ImageNet-C (pixelate, 0.6 to 0.25) leave the crops of SMIDS nearly as they are, since they "
    "were enlarged before they were published"
)
_STAIN_SHIFT = "Tellez et al. 2019 (Medical Image Analysis 58:101544): light augmentation up to 0.05, strong up to 0.2"
_WHITE_BALANCE = f"{_HERE}; that such errors mislead networks: Afifi and Brown 2019 (ICCV), arXiv:1912.06960"
CORRUPTIONS: dict[str, Corruption] = {
    "poisson_noise": Corruption(
        acquisition.add_poisson_noise,
        (60, 25, 12, 5, 3),
        "photons where the image is white",
        _IMAGENET_C,
    ),
    "gaussian_noise": Corruption(
        acquisition.add_gaussian_noise,
        (0.08, 0.12, 0.18, 0.26, 0.38),
        "standard deviation, share of the range",
        _IMAGENET_C,
    ),
    "speckle": Corruption(
        acquisition.add_speckle,
        (0.15, 0.2, 0.35, 0.45, 0.6),
        "standard deviation, share of the pixel's own value",
        _IMAGENET_C,
    ),
    "defocus": Corruption(
        optics.defocus,
        (3, 4, 6, 8, 10),
        "radius of the disk in pixels",
        _IMAGENET_C,
    ),
    "motion_blur": Corruption(
        optics.blur_by_motion,
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        "length and standard deviation of the trail in pixels",
        _IMAGENET_C,
    ),
    "jpeg": Corruption(
        acquisition.compress,
        (25, 18, 15, 10, 7),
        "quality, as Pillow counts it",
        _IMAGENET_C,
    ),
    "down_sampling": Corruption(
        acquisition.down_sample,
        (0.5, 0.35, 0.25, 0.175, 0.125),
        "share of the side that is left before it is enlarged again",
        _DOWN_SAMPLING,
    ),
    "brightness": Corruption(
        acquisition.shift_brightness,
        (0.1, 0.2, 0.3, 0.4, 0.5),
        "value of HSV, 0-1, up or down",
        f"{_IMAGENET_C}, which only raises it",
    ),
    "contrast": Corruption(
        acquisition.reduce_contrast,
        (0.4, 0.3, 0.2, 0.1, 0.05),
        "share that is left of the distance from the channel's mean",
        _IMAGENET_C,
    ),
    "stain_shift": Corruption(
        optics.shift_stain,
        (0.05, 0.1, 0.15, 0.2, 0.3),
        "relative and absolute shift of optical densities",
        _STAIN_SHIFT,
    ),
    "white_balance": Corruption(
        acquisition.shift_white_balance,
        (5500, 5000, 4500, 4000, 3500),
        "colour temperature of the lamp in kelvin, the camera being set to 6500",
        _WHITE_BALANCE,
    ),
    "vignette": Corruption(
        optics.vignette,
        (0.8, 0.65, 0.5, 0.35, 0.2),
        "share of the light at half a diagonal from its centre",
        _HERE,
    ),
    "debris": Corruption(
        optics.occlude,
        (0.05, 0.1, 0.2, 0.3, 0.4),
        "share of the area that is covered",
        _HERE,
    ),
}
"""Name -> what is done, and how strongly; the one table of strengths.

`shift_white_balance` takes only the colour temperatures whose gains are known, `acquisition._LAMPS`.
"""


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
