"""Images changed by so little that nobody sees it, in the direction that misleads a classifier most.

FGSM (Goodfellow, Shlens and Szegedy 2015, ICLR, arXiv:1412.6572) takes one step; PGD (Madry et al. 2018, ICLR,
arXiv:1706.06083) takes several smaller ones. Here every step is a whole number of grey levels, so that what comes out
is an image that can be stored as it is, and PGD starts at the image itself: nothing is random.
"""

from __future__ import annotations

import keras
import numpy as np


def attack(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, *, epsilon: int, num_steps: int, batch_size: int = 8
) -> np.ndarray:
    """Changes images so that the cross-entropy of their true class grows.

    Args:
        model: images [B, S, S, 3], 0-255 -> logits [B, C]; `sperm_tf.models.views.build_averaged_classifier` gives the
            one whose answers are served.
        images: uint8 [N, S, S, 3].
        labels: int [N], the true classes.
        epsilon: most grey levels, of 255, by which any value may change.
        num_steps: 1 is FGSM; more are PGD, each step of `ceil(2.5 * epsilon / num_steps)` levels (Madry's choice).
        batch_size: images in memory at once.

    Returns:
        uint8 [N, S, S, 3], at most `epsilon` from `images`.

    Raises:
        ValueError: Keras does not run on TensorFlow, or a number is out of range.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(f"Keras must run on TensorFlow. Received: backend={keras.backend.backend()!r}.")
    if epsilon < 1 or num_steps < 1:
        raise ValueError(f"epsilon and num_steps must be at least 1. Received: epsilon={epsilon}, {num_steps} steps.")
    import tensorflow as tf

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    step = epsilon if num_steps == 1 else int(np.ceil(2.5 * epsilon / num_steps))

    @tf.function(reduce_retracing=True)
    def ascend(changed: tf.Tensor, low: tf.Tensor, high: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(changed)
            value = loss(truth, model(changed, training=False))
        return tf.clip_by_value(changed + step * tf.sign(tape.gradient(value, changed)), low, high)

    found = []
    for start in range(0, len(images), batch_size):
        original = images[start : start + batch_size].astype(np.float32)
        low, high = np.maximum(original - epsilon, 0), np.minimum(original + epsilon, 255)
        truth = np.asarray(labels[start : start + batch_size])
        changed = tf.constant(original)
        for _ in range(num_steps):
            changed = ascend(changed, low, high, truth)
        found.append(changed.numpy().astype(np.uint8))
    return np.concatenate(found) if found else images
