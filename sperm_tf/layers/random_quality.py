"""Random noise and random staining: what another camera and another laboratory do to an image."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops

# Rows: red, green and blue optical density of haematoxylin, eosin and DAB (Ruifrok and Johnston 2001, Analytical and
# Quantitative Cytology and Histology 23:291-299), as scikit-image has them.
RGB_FROM_HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], np.float32)
_DARKEST = 1e-6  # share of the light; black has no finite density


class _RandomPixels(keras.layers.Layer):
    """Images [B, H, W, 3], float, 0-255, changed while training alone; the result is kept within 0-255."""

    def __init__(self, *, strength: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= strength <= self._highest:
            raise ValueError(f"strength must be between 0 and {self._highest}. Received: strength={strength!r}.")
        self.strength = strength
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=True):
        if not training:
            return images
        return ops.clip(self._change(images), 0.0, 255.0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "strength": self.strength, "seed": self.seed}


@keras.saving.register_keras_serializable(package="sperm_tf")
class RandomNoise(_RandomPixels):
    """Adds Gaussian noise to half of the images, of a standard deviation that is drawn for each.

    As in BigAug (Zhang et al. 2020, IEEE Transactions on Medical Imaging 39:2531-2540), where every change is made to
    half of the images.

    Args:
        strength: highest standard deviation, as a share of the range, 0-1; it is uniform from 0.
        seed: integer.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: `strength` is out of its range.
    """

    _highest = 1.0

    def _change(self, images):
        num_images = ops.shape(images)[0]
        # Uniform from -1: the half that is drawn below 0 stays as it is.
        drawn = keras.random.uniform((num_images, 1, 1, 1), minval=-1.0, maxval=1.0, seed=self.seed_generator)
        noise = keras.random.normal(ops.shape(images), seed=self.seed_generator)
        return images + 255.0 * self.strength * ops.maximum(drawn, 0.0) * noise


@keras.saving.register_keras_serializable(package="sperm_tf")
class RandomStain(_RandomPixels):
    """Makes haematoxylin, eosin and the residual channel stronger or weaker.

    The optical density of each becomes a density + b, with a and b drawn for every image and stain: a uniform in 1 +-
    `strength`, b in +- `strength` (Tellez et al. 2019, Medical Image Analysis 58:101544, light 0.05, strong 0.2).
    Nothing is cut off below 0, so that colours that no mixture of the three makes are kept.

    Args:
        strength: 0-1.
        seed: integer.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: `strength` is out of its range.
    """

    _highest = 1.0

    def _change(self, images):
        shape = (ops.shape(images)[0], 1, 1, 3)
        factor, offset = (
            self.strength * keras.random.uniform(shape, minval=-1.0, maxval=1.0, seed=self.seed_generator)
            for _ in range(2)
        )
        density = -ops.log(ops.maximum(images / 255.0, _DARKEST)) / math.log(10)
        stains = ops.matmul(density, np.linalg.inv(RGB_FROM_HED)) * (1.0 + factor) + offset
        return 255.0 * ops.exp(-math.log(10) * ops.matmul(stains, RGB_FROM_HED))
