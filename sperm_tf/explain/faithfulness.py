"""Faithfulness and localisation of attribution maps: deletion, insertion, average drop, share on the head.

Each function takes maps [B, S, S] and, where the network is asked again, `predict`: images [N, S, S, 3], 0-255 ->
probabilities [N, C]. Two kinds of image stand for "nothing to see here". Both are choices, and the figures depend on
them:

* the empty slide (`slide_images`): one even colour, the median of the crop, which is that of the slide. RISE deletes to
  black or grey, which no slide is, so that the network would be asked about images unlike any that it knows.
* the heavily blurred image (`blur_images`), from which insertion starts, as in RISE: on an even slide, the first sharp
  pixels are new edges, on a blurred one they are not.

Sources:
    Petsiuk, Das, Saenko: RISE, BMVC 2018, arXiv:1806.07421 (deletion, insertion).
    Chattopadhay et al.: Grad-CAM++, WACV 2018, arXiv:1710.11063 (average drop, increase in confidence).
    Zhang et al.: Top-down Neural Attention by Excitation Backprop, IJCV 2018, arXiv:1608.00507 (pointing game).
    Wang et al.: Score-CAM, CVPRW 2020, arXiv:1910.01279 (energy-based pointing game).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FIGURES = {
    "deletion_auc": "low",
    "insertion_auc": "high",
    "confidence_drop": "low",
    "confidence_increase": "high",
    "energy_in_head": "high",
    "pointing_hit": "high",
    "likeness_to_other_maps": "low",
}
"""Name of a figure -> whether low or high values are good."""
BASELINES = ("centre", "edges")
"""Methods of `sperm_tf.explain.methods` that never ask the network; any other one should beat both."""
Predict = Callable[[np.ndarray], np.ndarray]
POINTING_TOLERANCE = 15 / 224
"""How far from the object a peak may be, as a share of the side: Zhang et al.'s 15 pixels of an image of some 224."""
_BLUR = 0.125  # deviation as a share of the side; a head, a fifth of the side long, is no longer to be seen
_NUM_STEPS = 16


def slide_images(images: np.ndarray) -> np.ndarray:
    """The attribution baseline of each image: its median colour everywhere.

    Args:
        images: [B, S, S, 3], 0-255.

    Returns:
        float32 [B, S, S, 3].
    """
    medians = np.median(images, axis=(1, 2), keepdims=True)
    return np.broadcast_to(medians, images.shape).astype(np.float32)


def blur_images(images: np.ndarray) -> np.ndarray:
    """Blurs each image by a Gaussian with an eighth of the side as deviation; edges repeat outwards.

    Args:
        images: [B, S, S, 3], 0-255.

    Returns:
        float32 [B, S, S, 3].
    """
    from scipy import ndimage

    deviation = _BLUR * images.shape[1]
    return ndimage.gaussian_filter(np.asarray(images, np.float32), (0, deviation, deviation, 0), mode="nearest")


def default_fractions(num_steps: int = _NUM_STEPS) -> np.ndarray:
    """Shares of the pixels at which curves are measured: 0 to 1, dense at the start, where a head of 4 % vanishes.

    Args:
        num_steps: number of steps; the k-th share is the square of k / `num_steps`.

    Returns:
        float64 [num_steps + 1].
    """
    return (np.arange(num_steps + 1) / num_steps) ** 2


def deletion_curves(
    predict: Predict, images: np.ndarray, maps: np.ndarray, class_indices: np.ndarray, *, fractions: np.ndarray
) -> np.ndarray:
    """Probability of the class while the pixels of the highest values become the attribution baseline; low is good.

    Args:
        predict: the network, see the module.
        images: [B, S, S, 3], 0-255.
        maps: [B, S, S]. Of equal values, which are many in a map of zeros, a random order that is the same for all
            images decides; a map that says nothing is so judged as a map of chance.
        class_indices: int [B], the class whose probability is followed.
        fractions: [F], shares of the pixels, 0-1.

    Returns:
        float64 [B, F].
    """
    return _curves(predict, images, slide_images(images), maps, class_indices, fractions)


def insertion_curves(
    predict: Predict, images: np.ndarray, maps: np.ndarray, class_indices: np.ndarray, *, fractions: np.ndarray
) -> np.ndarray:
    """Probability of the class while the pixels of the highest values come back into the blurred image; high is good.

    Args and returns as `deletion_curves`.
    """
    return _curves(predict, blur_images(images), images, maps, class_indices, fractions)


def area_under(curves: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Area under curves by the trapezoidal rule.

    Args:
        curves: [B, F].
        fractions: [F], rising.

    Returns:
        float64 [B], 0-1 where the fractions go from 0 to 1.
    """
    from scipy import integrate

    return integrate.trapezoid(curves, fractions, axis=1)


def show_only(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Keeps of each image what its map marks, and fades the rest into the attribution baseline.

    Chattopadhay et al. multiply the image by the map, which fades the rest into black.

    Args:
        images: [B, S, S, 3], 0-255.
        maps: [B, S, S], 0-1, the share of the image that stays.

    Returns:
        float32 [B, S, S, 3].
    """
    shares = np.asarray(maps, np.float32)[..., None]
    return shares * np.asarray(images, np.float32) + (1 - shares) * slide_images(images)


def confidence_drop(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Relative fall of the probability, 0 where it rises; its mean is the average drop (Chattopadhay et al., 4.1).

    Args:
        before: [B], probability of the class for the image, 0-1.
        after: [B], the same for what its map marks.

    Returns:
        float64 [B], 0-1.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    fall = np.maximum(before - after, 0)
    return np.divide(fall, before, out=np.zeros_like(before), where=before > 0)


def confidence_increase(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether the probability rises, bool [B]; its mean is the increase in confidence (Chattopadhay et al., 4.1)."""
    return np.asarray(after) > np.asarray(before)


def energy_in_mask(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of a map's sum that lies in the mask (Wang et al. 2020, section 4.3). An even map has the mask's area.

    Args:
        maps: [B, S, S], at least 0.
        masks: bool [B, S, S].

    Returns:
        float64 [B], 0-1; NaN for a map of zeros.
    """
    total = np.asarray(maps, np.float64).sum(axis=(1, 2))
    inside = (np.asarray(maps, np.float64) * masks).sum(axis=(1, 2))
    return np.divide(inside, total, out=np.full(len(total), np.nan), where=total > 0)


def pointing_hits(maps: np.ndarray, masks: np.ndarray, *, tolerance: float = POINTING_TOLERANCE) -> np.ndarray:
    """Whether the highest value of a map lies in the mask or near it (pointing game, Zhang et al. 2018, section 4.2).

    Args:
        maps: [B, S, S].
        masks: bool [B, S, S].
        tolerance: largest distance to the mask that counts as a hit, as a share of the side.

    Returns:
        bool [B]; False for a map of zeros, which points nowhere, and for an empty mask.
    """
    from scipy import ndimage

    hits = []
    for values, mask in zip(maps, masks, strict=True):
        if not mask.any() or not np.any(values):
            hits.append(False)
            continue
        distances = ndimage.distance_transform_edt(~np.asarray(mask, bool))
        peak = np.unravel_index(int(np.argmax(values)), values.shape)
        hits.append(bool(distances[peak] <= tolerance * values.shape[0]))
    return np.array(hits, bool)


def _curves(predict, starts, ends, maps, class_indices, fractions):
    """Probability of the class while the pixels of `starts` are replaced by those of `ends`, highest values first."""
    num_pixels = maps.shape[1] * maps.shape[2]
    counts = np.round(np.asarray(fractions) * num_pixels).astype(int)
    chance = np.random.default_rng(0).permutation(num_pixels)
    curves = []
    for start, end, values, label in zip(starts, ends, maps, class_indices, strict=True):
        order = chance[np.argsort(-values.reshape(-1)[chance], kind="stable")]
        ranks = np.empty(num_pixels, int)
        ranks[order] = np.arange(num_pixels)
        is_replaced = ranks.reshape(1, *values.shape) < counts[:, None, None]
        curves.append(predict(np.where(is_replaced[..., None], end, start).astype(np.float32))[:, label])
    return np.array(curves, np.float64)
