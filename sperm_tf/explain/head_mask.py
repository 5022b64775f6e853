"""Where the head of a spermatozoon is in a stained crop: the region that a map of the network should look at.

The dye of the head takes light out of the green channel, whether the slide is pink or grey and the head red, violet or
blue. So the head is what is darker in green than the slide, thicker than a tail, and nearest to the centre, where both
datasets have it. The mask is measured against exact masks of drawn sperm (`tests/explain/head_mask_test.py`).
"""

from __future__ import annotations

import numpy as np

# Lengths are shares of the longer side of the crop, which is 13 um in HuSHeM and some 16 um in SMIDS. They were chosen
# on drawn sperm of one seed, and hold for others.
_SMOOTHING = 0.008  # deviation of the Gaussian against the camera's noise
_OPENING = 0.035  # radius; a tail and a slender mid-piece are thinner, a head is thicker
_NEIGHBOURHOOD = 0.3  # radius around the centre within which the threshold is sought: no neighbours, no black corner
_REACH = 0.15  # how far from the centre the nearest pixel of a head may be
_THRESHOLD_SHARE = 0.8  # Otsu's threshold lies inside the soft outline of a head that is out of focus
_MIN_CONTRAST = 12.0  # of 255 levels, between head and slide; the noise of an empty slide has less
_AREA_SHARES = (0.005, 0.25)  # of the crop; a normal head has 3-6 %


def find_head(image: np.ndarray) -> np.ndarray | None:
    """Finds the head of the spermatozoon in the middle of a crop.

    Green channel against the median of the crop, which is the slide; Otsu's threshold (1979, IEEE Trans. SMC 9:62-66);
    morphological opening, which removes the tail; of what is left, the part nearest to the centre.

    Args:
        image: uint8 or float [H, W, 3], RGB, 0-255, a crop with one spermatozoon in its middle.

    Returns:
        bool [H, W], True on the head; or None where no such region is found. A crop without a spermatozoon may still
        give a mask, of whatever is stained in its middle.

    Raises:
        ValueError: the image has another shape.
    """
    from scipy import ndimage
    from skimage import filters, measure, morphology

    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be [H, W, 3]. Received: shape={list(image.shape)}. Pass one RGB image")
    side = max(image.shape[:2])
    green = image[:, :, 1].astype(np.float64)
    darkness = filters.gaussian(np.maximum(np.median(green) - green, 0), _SMOOTHING * side)
    distance = _distance_from_centre(*image.shape[:2]) / side
    threshold = _THRESHOLD_SHARE * filters.threshold_otsu(darkness[distance < _NEIGHBOURHOOD])
    stained = ndimage.binary_fill_holes(darkness > threshold)
    parts = measure.label(morphology.opening(stained, morphology.disk(max(1, round(_OPENING * side)))))
    is_part = parts > 0
    if not is_part.any() or distance[is_part].min() > _REACH:
        return None
    head = parts == parts[is_part][np.argmin(distance[is_part])]
    low, high = _AREA_SHARES
    is_plausible = low <= head.mean() <= high and darkness[head].mean() >= _MIN_CONTRAST
    return head if is_plausible else None


def _distance_from_centre(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
