"""What slide and microscope do to an image: defocus, motion, uneven light, another staining, debris.

Every function takes an image, float64 [H, W, 3], RGB, 0-1, a strength and a source of randomness, and returns an image
of the same shape. `sperm_tf.evaluation.robustness.corruptions.CORRUPTIONS` has the strengths. Lengths are for images of
224 pixels, and are scaled with the longer side, as crops differ in size.
"""

from __future__ import annotations

import numpy as np

from sperm_tf.synthesis import debris
from sperm_tf.synthesis.canvas import Canvas

_SIDE = 224  # pixels; of the images for which the lengths are stated
_FIELD_UM = 20.0  # width of the field for which debris is drawn; that of SMIDS is about 19
# Optical densities (natural logarithm) of stained matter, those of `sperm_tf.synthesis.optics` for a smartphone.
_NUCLEAR, _EOSIN = np.array([0.98, 1.25, 0.13]), np.array([0.30, 0.80, 0.10])
_OPAQUE_FROM = 0.35  # density from which a pixel counts as covered: about a third of the light is gone
_MAX_CLUMPS = 400


def defocus(image: np.ndarray, radius_px: float, rng: np.random.Generator) -> np.ndarray:
    """Spreads every point over a disk of a radius, its rim antialiased."""
    del rng
    radius = radius_px / _SIDE * max(image.shape[:2])
    reach = int(np.ceil(radius + 0.5))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return _convolve(image, np.clip(radius + 0.5 - np.hypot(y, x), 0, 1))


def blur_by_motion(image: np.ndarray, trail_px: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A slide that moves during the exposure, in a direction that is drawn.

    The trail fades as half a Gaussian (ImageMagick's form): `trail_px` holds its length and standard deviation.
    """
    scale = max(image.shape[:2]) / _SIDE
    length, spread = trail_px
    steps = np.linspace(0, length * scale, 8 * length + 1)
    weights = np.exp(-(steps**2) / (2 * (spread * scale) ** 2))
    angle = rng.uniform(0, 2 * np.pi)
    reach = int(np.ceil(length * scale)) + 1
    rows, columns = reach + steps * np.sin(angle), reach + steps * np.cos(angle)
    edges = np.arange(2 * reach + 2) - 0.5
    kernel, _, _ = np.histogram2d(rows, columns, bins=(edges, edges), weights=weights)
    return _convolve(image, kernel)


def vignette(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Darkens towards the rim, to a share of the light at half a diagonal from its centre.

    1 / (1 + (a r)²)², the off-axis fall of Kang and Weiss 2000 (ECCV 2:640-653). The centre is drawn, up to a quarter
    of the sides off that of the image: a crop is seldom the middle of the field.
    """
    height, width = image.shape[:2]
    centre_y, centre_x = (0.5 + rng.uniform(-0.25, 0.25, 2)) * (height, width)
    y, x = np.mgrid[:height, :width] + 0.5
    radius = np.hypot(y - centre_y, x - centre_x) / (np.hypot(height, width) / 2)
    return image / (1 + (share**-0.5 - 1) * radius**2)[..., None] ** 2


def shift_stain(image: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Another staining: haematoxylin, eosin and the residual channel, each stronger or weaker.

    The optical density of each of the three becomes (1 ± size) density ± size, the form of Tellez et al. 2019 (Medical
    Image Analysis 58:101544). Which become stronger is drawn. Stains: scikit-image's matrices, after Ruifrok and
    Johnston 2001; unlike its `rgb2hed` nothing is cut off below 0, so that colours that no mixture of the three makes
    are kept.
    """
    from skimage.color import hed_from_rgb, rgb_from_hed

    strength = size * rng.choice((-1, 1), 3)
    stains = -np.log10(np.maximum(image, 1e-6)) @ hed_from_rgb
    return 10 ** -((stains * (1 + strength) + strength) @ rgb_from_hed)


def occlude(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Clumps of stained matter over a share of the area, drawn by `sperm_tf.synthesis.debris`.

    Larger shares hold all of the smaller ones.
    """
    height, width = image.shape[:2]
    canvas = Canvas(height, width, pixel_size_um=_FIELD_UM / max(height, width))
    for _ in range(_MAX_CLUMPS):
        if (canvas.nuclear + canvas.eosin > _OPAQUE_FROM).mean() >= share:
            break
        centre_um = rng.uniform(-0.5, 0.5, 2) * canvas.field_um[::-1]
        debris.add_clump(canvas, centre_um, rng.uniform(0.6, 1.4), rng)
    return image * np.exp(-(canvas.nuclear[..., None] * _NUCLEAR + canvas.eosin[..., None] * _EOSIN))


def _convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Every channel convolved with a kernel, which is brought to the sum 1; the rim of the image is repeated."""
    from scipy.signal import oaconvolve

    reach = kernel.shape[0] // 2
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return oaconvolve(padded, (kernel / kernel.sum())[..., None], mode="valid", axes=(0, 1))
