"""Local contrast normalisation: tail, debris and grain of the background count as much as the dark head does."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

_CONTRAST_FLOOR = 2.0  # grey levels; keeps flat background from being amplified into noise


def normalise_contrast(grey: np.ndarray, *, reduction: int, sigma: float) -> np.ndarray:
    """Reduces a grey image and gives every region the same contrast.

    Args:
        grey: uint8 [height, width].
        reduction: factor by which the image is made smaller, by averaging.
        sigma: standard deviation in reduced pixels of the Gaussian that defines a region.

    Returns:
        float32 [ceil(height / reduction), ceil(width / reduction)], about zero mean and unit variance everywhere.
    """
    reduced = np.asarray(Image.fromarray(grey).reduce(reduction)).astype(np.float32)
    detail = ndimage.gaussian_filter(reduced, sigma / 5) - ndimage.gaussian_filter(reduced, sigma)
    return detail / np.sqrt(ndimage.gaussian_filter(detail * detail, sigma) + _CONTRAST_FLOOR**2)
