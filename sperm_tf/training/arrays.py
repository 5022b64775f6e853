"""Batches of images that lie in memory, for training on any backend."""

from __future__ import annotations

import keras
import numpy as np

from sperm_tf.config import TrainerConfig
from sperm_tf.training.augmentation import build_augmentation


class EvaluationBatches(keras.utils.PyDataset):
    """Batches in order, without augmentation.

    Args:
        images: uint8 [N, S, S, 3], 0-255.
        labels: int [N].
        num_classes: number of classes C.
        batch_size: number of images in a batch; the last may be shorter.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, *, num_classes: int, batch_size: int):
        super().__init__()
        self._images, self._labels = images, np.eye(num_classes, dtype=np.float32)[labels]
        self._batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self._images) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Images float32 [B, S, S, 3] and one-hot labels float32 [B, C]."""
        rows = slice(index * self._batch_size, (index + 1) * self._batch_size)
        return self._images[rows].astype(np.float32), self._labels[rows]


class TrainingBatches(keras.utils.PyDataset):
    """One epoch, shuffled and augmented; it depends on the arguments and nothing else.

    Args:
        images: uint8 [N, S, S, 3], 0-255.
        labels: int [N].
        num_classes: number of classes C.
        config: its `batch_size`, `augmentation`, `mixup_alpha` and `seed` are used. The last, shorter batch is dropped
            unless it is the only one.
        epoch: from 0.
        class_weights: weight of each class, float [C]; adds sample weights.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        num_classes: int,
        config: TrainerConfig,
        epoch: int,
        class_weights: np.ndarray | None = None,
    ):
        super().__init__()
        self._images, self._labels = images, np.eye(num_classes, dtype=np.float32)[labels]
        self._class_weights = class_weights
        self._batch_size = min(config.batch_size, len(images))
        self._order = np.random.default_rng([config.seed, epoch]).permutation(len(images))
        self._augment = build_augmentation(config, epoch=epoch)

    def __len__(self) -> int:
        return len(self._images) // self._batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        """Images float32 [B, S, S, 3], labels float32 [B, C], soft after MixUp[, sample weights float32 [B]]."""
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        images, labels = map(keras.ops.convert_to_numpy, self._augment(self._images[rows], self._labels[rows]))
        if self._class_weights is None:
            return images, labels
        return images, labels, (labels @ self._class_weights).astype(np.float32)
