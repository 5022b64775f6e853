"""Batches of preprocessed images for training, read from the Transform stage's files with tf.data."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from sperm_tf.data import examples

Augmentation = Callable[[Any, Any], tuple[Any, Any]]


def read_images(folder: str | os.PathLike[str], split: str) -> tf.data.Dataset:
    """Decoded images of one split, kept in memory after the first pass.

    Args:
        folder: a Transform artifact.
        split: `train`, `validation` or `test`.

    Returns:
        Dataset of (image uint8 [S, S, 3] 0-255, label int64 scalar), in the order of the files; it has a length.
    """

    def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = examples.parse(serialized)
        return tf.io.decode_png(features["image"], channels=3), features["label"]

    serialized = examples.read_serialized(examples.shard_paths(folder, split))
    size = int(serialized.reduce(np.int64(0), lambda count, _: count + 1))
    images = serialized.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    for image, _ in images.take(1):  # all are of one size, which augmentations have to know before they see an image
        images = images.map(lambda image, label, shape=image.shape: (tf.ensure_shape(image, shape), label))
    return images.cache().apply(tf.data.experimental.assert_cardinality(size))


def read_labels(images: tf.data.Dataset) -> np.ndarray:
    """Labels of a dataset that `read_images` returned, int64 [N]."""
    return np.array([label for _, label in images.as_numpy_iterator()], np.int64)


def evaluation_batches(images: tf.data.Dataset, *, num_classes: int, batch_size: int) -> tf.data.Dataset:
    """Batches in order, without augmentation: (images float32 [B, S, S, 3], one-hot labels float32 [B, C])."""
    batches = images.batch(batch_size).map(lambda image, label: _to_float(image, label, num_classes))
    return batches.prefetch(tf.data.AUTOTUNE)


def training_batches(
    images: tf.data.Dataset,
    *,
    num_classes: int,
    batch_size: int,
    seed: int,
    augmentation: Augmentation | None = None,
    class_weights: np.ndarray | None = None,
) -> tf.data.Dataset:
    """One epoch's shuffled and augmented batches.

    Args:
        images: as `read_images` returns them.
        num_classes: number of classes C.
        batch_size: number of images B in a batch; the last, shorter one is dropped unless it is the only one.
        seed: of the order; give every epoch its own.
        augmentation: maps (images, labels) of a batch to augmented ones.
        class_weights: weight of each class, float [C]; adds the third output.

    Returns:
        Dataset of (images float32 [B, S, S, 3] 0-255, labels float32 [B, C], soft after MixUp[, sample weights
        float32 [B]]).
    """
    size = len(images)
    shuffled = images.shuffle(size, seed=seed, reshuffle_each_iteration=False)
    batches = shuffled.batch(batch_size, drop_remainder=size >= batch_size)
    batches = batches.map(lambda image, label: _to_float(image, label, num_classes))
    if augmentation is not None:
        batches = batches.map(augmentation)  # one at a time: its random numbers are drawn in order
    if class_weights is not None:
        weights = tf.constant(class_weights, tf.float32)
        batches = batches.map(lambda image, label: (image, label, tf.linalg.matvec(label, weights)))
    return batches.prefetch(tf.data.AUTOTUNE)


def _to_float(images: tf.Tensor, labels: tf.Tensor, num_classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.cast(images, tf.float32), tf.one_hot(labels, num_classes)
