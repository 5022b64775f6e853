"""Training that draws the predictions of two views of an image together."""

# ruff: noqa: D102  (the methods without a docstring are keras.layers.Layer's own)

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sperm_tf")
class RandomView(keras.layers.Layer):
    """Turns every image to one of the other seven views of the dihedral group D4, at random while training.

    The views are those of `sperm_tf.models.views`: rotations by right angles and their mirror images. No pixel is
    interpolated.

    Input and output: images [B, S, S, C].

    Args:
        seed: integer.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, *, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=True):
        if not training:
            return images
        shape = (ops.shape(images)[0], 1, 1, 1)
        view = keras.random.randint(shape, 1, 8, dtype="int32", seed=self.seed_generator)
        images = ops.where(view >= 4, ops.swapaxes(images, 1, 2), images)
        images = ops.where(view // 2 % 2 == 1, ops.flip(images, axis=1), images)
        return ops.where(view % 2 == 1, ops.flip(images, axis=2), images)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="sperm_tf")
class ViewConsistency(keras.layers.Layer):
    """Adds to the training loss how far the predictions of two views of each image are from their average.

    The average is that of `sperm_tf.models.views`: the softmax of the mean logits. The loss is the mean over images and
    views of its Kullback-Leibler divergence from a view's softmax, times `weight`; no gradient flows into the average.

    Input and output: logits [2 * B, C], the first views of B images, then their second views; unchanged.

    Args:
        weight: of the loss, at least 0.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, weight: float, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def call(self, logits, training=False):
        if training:
            pairs = ops.reshape(ops.cast(logits, "float32"), (2, -1, logits.shape[-1]))
            average = ops.stop_gradient(ops.log_softmax(ops.mean(pairs, axis=0, keepdims=True)))
            divergence = ops.sum(ops.exp(average) * (average - ops.log_softmax(pairs)), axis=-1)
            self.add_loss(self.weight * ops.mean(divergence))
        return logits

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}
