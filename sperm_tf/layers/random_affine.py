"""Random rotation, zoom, shift and mirror image in one resampling."""

# ruff: noqa: D102  (the methods without a docstring are keras.layers.Layer's own)

from __future__ import annotations

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sperm_tf")
class RandomAffine(keras.layers.Layer):
    """Moves every image at random while training; aspect ratios are kept.

    One bilinear resampling for all changes together: a chain of Keras' own layers resamples once each, which is slower
    and blurs the image every time. What comes into view from beyond the border repeats the edge: background reaches
    every border of a crop, so that is the least visible filling.

    Input and output: images [B, H, W, C], float.

    Args:
        flip: mirror half of the images, horizontally and vertically by one coin each.
        rotation: angles are uniform in +- this share of a full turn; 0.5 is any angle.
        zoom: sizes are log-uniform between 1 / (1 + zoom) and 1 + zoom.
        translation: shifts are uniform in +- this share of height and width.
        seed: integer.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: a number is negative.
    """

    def __init__(
        self,
        *,
        flip: bool = False,
        rotation: float = 0.0,
        zoom: float = 0.0,
        translation: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("rotation", rotation), ("zoom", zoom), ("translation", translation)):
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0. Received: {name}={value!r}.")
        self.flip, self.rotation, self.zoom, self.translation = flip, rotation, zoom, translation
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=True):
        if not training:
            return images
        num_images, height, width = ops.shape(images)[:3]
        transforms = self._draw(num_images, ops.cast(height, "float32"), ops.cast(width, "float32"))
        return ops.image.affine_transform(images, transforms, interpolation="bilinear", fill_mode="nearest")

    def _draw(self, num_images, height, width):
        """Maps from output to input pixels, [N, 8], as `keras.ops.image.affine_transform` takes them."""
        draws = keras.random.uniform((num_images, 6), minval=-1.0, maxval=1.0, seed=self.seed_generator)
        angle = draws[:, 0] * (2 * math.pi * self.rotation)
        scale = ops.exp(draws[:, 1] * math.log1p(self.zoom))
        shift_x, shift_y = draws[:, 2] * self.translation * width, draws[:, 3] * self.translation * height
        mirror_x, mirror_y = (
            ops.where(draws[:, index] < 0, -1.0, 1.0) if self.flip else ops.ones_like(angle) for index in (4, 5)
        )
        cosine, sine = ops.cos(angle) * scale, ops.sin(angle) * scale
        xx, xy, yx, yy = cosine * mirror_x, -sine * mirror_y, sine * mirror_x, cosine * mirror_y
        center_x, center_y = (width - 1) / 2, (height - 1) / 2
        offset_x = center_x + shift_x - xx * center_x - xy * center_y
        offset_y = center_y + shift_y - yx * center_x - yy * center_y
        zero = ops.zeros_like(angle)
        return ops.stack([xx, xy, offset_x, yx, yy, offset_y, zero, zero], axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = ("flip", "rotation", "zoom", "translation", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
