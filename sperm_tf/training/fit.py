"""One fit of a cross-validation: train on one part of a dataset, predict the others. Runs on every Keras backend."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import keras
import numpy as np

from sperm_tf.config import TrainerConfig
from sperm_tf.data.partitions import Partition
from sperm_tf.models.classifier import build_classifier
from sperm_tf.models.views import build_averaged_classifier
from sperm_tf.training import recipe
from sperm_tf.training.arrays import EvaluationBatches, TrainingBatches
from sperm_tf.training.class_weights import class_weights
from sperm_tf.training.devices import num_replicas

ANSWERED_PARTS = ("validation", "calibration", "test")


@dataclasses.dataclass(frozen=True)
class Fit:
    """A finished fit.

    Attributes:
        model: with the weights of the epoch that `config.checkpoint` names; it answers for one view.
        history: as in `recipe.TrainingResult`.
        best_epoch: that epoch, from 1.
        probabilities: name of a part -> float32 [N, C], averaged over `config.views`.
    """

    model: keras.Model
    history: Mapping[str, list]
    best_epoch: int
    probabilities: Mapping[str, np.ndarray]


def run_fit(
    images: np.ndarray,
    labels: np.ndarray,
    partition: Partition,
    *,
    num_classes: int,
    config: TrainerConfig,
    work_dir: str | os.PathLike,
    verbose: int | str = 2,
) -> Fit:
    """Trains on `partition.train`, watches `partition.validation`, and predicts the held-out parts.

    Args:
        images: uint8 [N, S, S, 3], 0-255.
        labels: int [N].
        partition: of the N images.
        num_classes: number of classes C.
        config: the recipe; its seed settles everything random.
        work_dir: folder for the state of the training; a killed fit goes on from there.
        verbose: as in `keras.Model.fit`.
    """
    parts = {name: (images[indices], labels[indices]) for name, indices in vars(partition).items()}
    result = train_on_arrays(
        parts["train"], parts["validation"], num_classes=num_classes, config=config, work_dir=work_dir, verbose=verbose
    )
    probabilities = {
        name: predict_probabilities(result.model, parts[name][0], views=config.views) for name in ANSWERED_PARTS
    }
    return Fit(result.model, result.history, result.best_epoch, probabilities)


def train_on_arrays(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    num_classes: int,
    config: TrainerConfig,
    work_dir: str | os.PathLike,
    verbose: int | str = 2,
) -> recipe.TrainingResult:
    """Builds a classifier and trains it on images in memory.

    Several devices of a host share the training where a `keras.distribution` is set, or in the scope of a
    `tf.distribute.Strategy` (docs/scaling.md). They take equal parts: of the validation images the last ones, fewer
    than there are devices, are then left out.

    Args:
        train: images uint8 [N, S, S, 3], 0-255, and labels int [N].
        validation: the same, of the images that choose the epoch, where `config` lets any choose it.
        num_classes: number of classes C.
        config: the recipe.
        work_dir: folder for the state of the training.
        verbose: as in `keras.Model.fit`.
    """
    images, labels = train
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        keras.utils.set_random_seed(config.seed)
        model = build_classifier(config.model, num_classes=num_classes, image_size=images.shape[1])
    finally:
        keras.config.set_dtype_policy(policy)
    weights = class_weights(labels, num_classes) if config.class_weights else None

    def epoch_batches(epoch: int) -> TrainingBatches:
        return TrainingBatches(
            images, labels, num_classes=num_classes, config=config, epoch=epoch, class_weights=weights
        )

    num_shared = len(validation[1]) // num_replicas(model) * num_replicas(model)
    held_out = EvaluationBatches(
        validation[0][:num_shared], validation[1][:num_shared], num_classes=num_classes, batch_size=config.batch_size
    )
    return recipe.train(model, epoch_batches, held_out, config=config, work_dir=work_dir, verbose=verbose)


def predict_probabilities(model: keras.Model, images: np.ndarray, *, views: int, batch_size: int = 32) -> np.ndarray:
    """Predictions of a classifier.

    Args:
        model: images -> logits.
        images: uint8 [N, S, S, 3], 0-255.
        views: 1, or 8 for the average over the dihedral group, see `sperm_tf.models.views`.
        batch_size: number of images at a time.

    Returns:
        float32 [N, C], rows sum to 1.
    """
    if not len(images):
        return np.zeros((0, model.output_shape[-1]), np.float32)
    averaged, replicas = build_averaged_classifier(model, views=views), num_replicas(model)
    filling = images[:1].repeat(-len(images) % replicas, axis=0)  # devices take equal parts
    batch_size = -(-batch_size // replicas) * replicas
    logits = averaged.predict(np.concatenate([images, filling]), batch_size=batch_size, verbose=0)[: len(images)]
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits.astype(np.float32)))
