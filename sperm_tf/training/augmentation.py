"""Random changes of the training images that leave their class as it is.

The geometric ones are a single layer of ours, `RandomAffine`; noise and staining are `sperm_tf.layers.random_quality`.
The others are layers of `keras.layers`, which run on each backend, eagerly and inside `tf.data`, but for one: shifts of
single colour channels only keras-cv has; that entry needs TensorFlow.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from sperm_tf.config import TrainerConfig
from sperm_tf.layers.random_affine import RandomAffine
from sperm_tf.layers.random_quality import RandomNoise, RandomStain
from sperm_tf.layers.view_consistency import RandomView

_PIXELS = (0, 255)


def _build_stain_jitter(**arguments) -> list[keras.layers.Layer]:
    if keras.config.backend() != "tensorflow":
        raise ValueError(
            "augmentation must do without 'stain_jitter' on other backends than TensorFlow, for which alone keras-cv "
            f"has it. Received: backend={keras.config.backend()!r}. Use 'hue' and 'saturation' instead."
        )
    try:
        keras_cv = importlib.import_module("keras_cv")
    except ImportError as error:
        raise ImportError("augmentation 'stain_jitter' needs keras-cv: pip install keras-cv") from error
    return [keras_cv.layers.RandomChannelShift(value_range=_PIXELS, factor=0.2, **arguments)]


# Strengths of the changes that `RandomAffine` makes in one resampling.
GEOMETRIC: dict[str, Any] = {"flip": True, "rotation": 0.5, "zoom": 0.15, "translation": 0.08}

AUGMENTATIONS: dict[str, Callable[..., list[keras.layers.Layer]]] = {
    "brightness": lambda **kw: [keras.layers.RandomBrightness(0.1, value_range=_PIXELS, **kw)],
    "contrast": lambda **kw: [keras.layers.RandomContrast(0.2, value_range=_PIXELS, **kw)],
    "hue": lambda **kw: [keras.layers.RandomHue(0.05, value_range=_PIXELS, **kw)],
    # Its value range is that of the saturation it clips, not of the pixels: (0, 255) lets colours leave their range.
    "saturation": lambda **kw: [keras.layers.RandomSaturation((0.4, 0.6), value_range=(0, 1), **kw)],
    "blur": lambda **kw: [keras.layers.RandomGaussianBlur(1.0, 5, sigma=(0.1, 1.5), value_range=_PIXELS, **kw)],
    "noise": lambda **kw: [RandomNoise(strength=0.1, **kw)],
    "stain": lambda **kw: [RandomStain(strength=0.1, **kw)],
    "erasing": lambda **kw: [keras.layers.RandomErasing(0.5, scale=(0.02, 0.1), value_range=_PIXELS, **kw)],
    "stain_jitter": _build_stain_jitter,
}
"""Name -> function of `seed` and `dtype` that makes its layers, to be called in order after the geometric ones.

`flip` in both directions; `rotation` by any angle; `zoom` by up to 15 %; `translation` by up to 8 % of the side;
`brightness` by up to 10 % of the range; `contrast` by up to 20 %; `hue` by up to 2.5 % of the colour circle;
`saturation` times 0.67-1.5; `blur` with a Gaussian of up to 1.5 pixels; `noise` of a deviation of up to 10 % of the
range, in half of the images; `stain` makes each of three stains stronger or weaker by up to 10 % and 0.1 optical
densities; `erasing` covers some part of 2-10 % with noise, in up to half of the images; `stain_jitter` shifts each
colour channel by up to 10 % of the range.
"""


class Augmentation:
    """A chain of random layers, then MixUp, then a second view of every image.

    Args:
        layers: image layers, in order, computing in float32 on pixels 0-255.
        mixup: `keras.layers.MixUp`, or None.
        second_view: makes the second view of images, or None for one view.
    """

    def __init__(
        self,
        layers: list[keras.layers.Layer],
        mixup: keras.layers.Layer | None,
        second_view: keras.layers.Layer | None = None,
    ):
        self.layers = layers
        self.mixup = mixup
        self.second_view = second_view
        # A cast of integers to float32 that works on tensors of tf.data whatever the backend.
        self._cast = keras.layers.Rescaling(1.0, dtype="float32")
        self._join = keras.layers.Concatenate(axis=0, dtype="float32")

    def __call__(self, images, labels):
        """Augments a batch; safe inside `tf.data.Dataset.map` (one call at a time keeps it repeatable).

        Args:
            images: [B, S, S, 3], pixels 0-255, integer or float.
            labels: [B, C], float one-hot.

        Returns:
            images float32 [B, S, S, 3], 0-255, and labels [B, C]; with a second view [2 * B, ...], all first views
            before all second ones.
        """
        images = self._cast(images)
        for layer in self.layers:
            images = layer(images, training=True)
        if self.mixup is not None:
            mixed = self.mixup({"images": images, "labels": labels}, training=True)
            images, labels = mixed["images"], mixed["labels"]
        if self.second_view is not None:
            images = self._join([images, self.second_view(images, training=True)])
            labels = self._join([labels, labels])
        return images, labels


def build_augmentation(config: TrainerConfig, *, epoch: int = 0) -> Augmentation:
    """The augmentation of a training epoch.

    Args:
        config: its `augmentation`, `mixup_alpha`, `view_consistency` and `seed` are used. MixUp: Zhang et al. 2018, one
            weight an image.
        epoch: counted from 0; build one anew for every epoch, so that a resumed training draws what an uninterrupted
            one would.

    Raises:
        ValueError: a layer does not run on the current backend.
        ImportError: keras-cv is needed and not installed.
    """
    seeds = np.random.SeedSequence([config.seed, epoch]).generate_state(len(config.augmentation) + 2) >> 1
    layers: list[keras.layers.Layer] = []
    if geometric := {name: GEOMETRIC[name] for name in config.augmentation if name in GEOMETRIC}:
        layers.append(RandomAffine(**geometric, seed=int(seeds[-2]), dtype="float32"))
    for name, seed in zip(config.augmentation, seeds, strict=False):
        if name not in GEOMETRIC:
            layers += AUGMENTATIONS[name](seed=int(seed), dtype="float32")
    mixup = keras.layers.MixUp(config.mixup_alpha, seed=int(seeds[-1]), dtype="float32") if config.mixup_alpha else None
    if not config.view_consistency:
        return Augmentation(layers, mixup)
    # The number of seeds settles them all, so this one is drawn apart.
    seed = np.random.SeedSequence([config.seed, epoch, 1]).generate_state(1)[0] >> 1
    return Augmentation(layers, mixup, RandomView(seed=int(seed), dtype="float32"))
