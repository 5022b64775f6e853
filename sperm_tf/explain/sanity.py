"""Does a map depend on what the network has learnt, and does it stay when the image hardly changes?

Source of the cascade: Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, "Sanity Checks for Saliency Maps", NeurIPS 2018,
arXiv:1810.03292, section 3.1.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator

import keras
import numpy as np

from sperm_tf.models.weights import copy_layer_weights, copy_weights

LABELS = "labels"
"""Condition of a comparison with a network that was trained on shuffled labels."""
_SHIFT = 1 / 16  # of the side
_ROTATION = 10.0  # degrees
_NOISE = 5.0  # of 255 levels; a camera's own noise
_MIN_SIDE = 7  # of a map whose structural similarity can be computed: the side of scikit-image's window


def randomise_cascade(model: keras.Model, *, seed: int = 0) -> Iterator[tuple[str, keras.Model]]:
    """Takes away what a network has learnt, from the head down, one stage after the other.

    A stage is a run of layers whose names begin alike, such as `block7` in EfficientNetB0. Its weights, statistics of
    BatchNormalization included, become those of a network that was never trained; the stages above stay random.

    Args:
        model: flat functional model; it is not changed.
        seed: of the random weights.

    Yields:
        The name of the stage that was taken away last, and the model without it: always the same object, so that what
        was compiled for it stays valid. The first is `trained` with all weights as they were.
    """
    keras.utils.set_random_seed(seed)
    untrained, emptied = keras.models.clone_model(model), keras.models.clone_model(model)
    copy_weights(model, emptied)
    yield "trained", emptied
    for stage, names in weight_stages(model):
        for name in names:
            copy_layer_weights(untrained.get_layer(name), emptied.get_layer(name))
        yield stage, emptied


def weight_stages(model: keras.Model) -> list[tuple[str, list[str]]]:
    """The stages of a network from the head down.

    Args:
        model: flat functional model.

    Returns:
        Name of each stage, no two alike, and names of its layers; only layers that learn, frozen ones among them.
    """
    stages: list[tuple[str, list[str]]] = []
    for layer in reversed(model.layers):
        if not layer.weights or isinstance(layer, keras.layers.Normalization):
            continue  # that of the input is no knowledge of the classes
        prefix = re.match(r"[a-zA-Z]+\d*", layer.name)
        stage = prefix.group() if prefix else layer.name
        if not stages or stages[-1][0] != stage:
            is_taken = any(name == stage for name, _ in stages)  # as of a second CBAM, further down
            stages.append((layer.name if is_taken else stage, []))
        stages[-1][1].append(layer.name)
    return stages


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """A change of an image that its map should follow.

    Attributes:
        apply: images, float32 [B, S, S, 3], 0-255 -> changed images of the same shape.
        undo: maps of the changed images [B, S, S] -> the same maps as they would lie over the images unchanged.
        has_seen: side S -> bool [S, S], places that are in both the image and the changed one.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    undo: Callable[[np.ndarray], np.ndarray]
    has_seen: Callable[[int], np.ndarray]


def similarities(first: np.ndarray, second: np.ndarray, *, where: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """How alike two sets of maps are.

    Args:
        first: [B, S, S], 0-1.
        second: [B, S, S], 0-1.
        where: bool [S, S], the places that count; all by default.

    Returns:
        `rank_correlation` (Spearman's, -1 to 1) and `structural_similarity` (SSIM of Wang et al. 2004, -1 to 1, with
        scikit-image's window of 7 pixels), float64 [B] each. An even map has no ranks: its correlation is 1 with
        another even one and 0 with any other.

    Raises:
        ValueError: the shapes differ, or the maps are too small.
    """
    from scipy import stats
    from skimage.metrics import structural_similarity

    if first.shape != second.shape or first.ndim != 3 or min(first.shape[1:]) < _MIN_SIDE:
        raise ValueError(
            f"maps must be [B, S, S] of one shape, S at least {_MIN_SIDE}. Received: {list(first.shape)} and "
            f"{list(second.shape)}. Pass what sperm_tf.explain.methods.explain returns"
        )
    where = np.ones(first.shape[1:], bool) if where is None else where
    correlations, structures = [], []
    for one, other in zip(np.asarray(first, np.float64), np.asarray(second, np.float64), strict=True):
        is_even = [np.ptp(values[where]) == 0 for values in (one, other)]
        correlations.append(float(all(is_even)) if any(is_even) else stats.spearmanr(one[where], other[where])[0])
        _, local = structural_similarity(one, other, data_range=1.0, full=True)
        structures.append(local[where].mean())
    return {"rank_correlation": np.array(correlations), "structural_similarity": np.array(structures)}


def _shift(arrays: np.ndarray, sign: int) -> np.ndarray:
    from scipy import ndimage

    pixels = sign * round(_SHIFT * arrays.shape[1])
    offsets = (0, pixels, pixels, *[0] * (arrays.ndim - 3))
    return ndimage.shift(arrays, offsets, order=0, mode="nearest")


def _rotate(arrays: np.ndarray, sign: int) -> np.ndarray:
    from scipy import ndimage

    return ndimage.rotate(arrays, sign * _ROTATION, axes=(1, 2), reshape=False, order=1, mode="nearest")


def _add_noise(images: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, _NOISE, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.float32)


def _shifted_area(side: int) -> np.ndarray:
    inside = np.ones((side, side), bool)
    pixels = round(_SHIFT * side)
    inside[side - pixels :, :] = inside[:, side - pixels :] = False
    return inside


def _disc(side: int) -> np.ndarray:
    offsets = np.arange(side) - (side - 1) / 2
    return np.hypot(*np.meshgrid(offsets, offsets)) <= side / 2


def _everywhere(side: int) -> np.ndarray:
    return np.ones((side, side), bool)


PERTURBATIONS = {
    "noise": Perturbation(_add_noise, lambda maps: maps, _everywhere),
    "shift": Perturbation(lambda images: _shift(images, 1), lambda maps: _shift(maps, -1), _shifted_area),
    "small_rotation": Perturbation(lambda images: _rotate(images, 1), lambda maps: _rotate(maps, -1), _disc),
    "quarter_turn": Perturbation(
        lambda images: np.rot90(images, axes=(1, 2)), lambda maps: np.rot90(maps, -1, axes=(1, 2)), _everywhere
    ),
}
"""What an image is changed by: noise of 5 levels, a shift down and right by a sixteenth of the side, 10 degrees, 90."""
