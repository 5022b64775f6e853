"""Training on several devices of a host: how many share a batch, and which recipes they can share."""

from __future__ import annotations

import keras

from sperm_tf.config import TrainerConfig


def num_replicas(model: keras.Model) -> int:
    """How many devices share every batch of a model: those of Keras' distribution, or of TensorFlow's strategy.

    Args:
        model: built under `keras.distribution.set_distribution`, or in the scope of a `tf.distribute.Strategy`.

    Returns:
        At least 1, which stands for neither.
    """
    distribution = keras.distribution.distribution()
    if distribution is not None:
        return int(distribution.num_model_replicas)
    return _num_mirrored(model)


def check_devices(model: keras.Model, config: TrainerConfig) -> None:
    """Refuses recipes that devices cannot share.

    Args:
        model: that is to be trained.
        config: the recipe.

    Raises:
        ValueError: a batch has no equal parts; or the two views of an image would be on different devices, which under
            TensorFlow's strategies do not know each other's rows.
    """
    replicas = num_replicas(model)
    if config.batch_size % replicas:
        raise ValueError(
            f"trainer.batch_size must be a multiple of the number of devices, {replicas}. Received: "
            f"trainer.batch_size={config.batch_size}. Use {-(-config.batch_size // replicas) * replicas}, or fewer "
            "devices."
        )
    if config.view_consistency and _num_mirrored(model) > 1:
        raise ValueError(
            f"trainer.view_consistency must be 0 under a tf.distribute.Strategy of several devices. Received: "
            f"trainer.view_consistency={config.view_consistency}. Use keras.distribution.DataParallel on the JAX "
            "backend, or one device."
        )


def _num_mirrored(model: keras.Model) -> int:
    strategy = getattr(model, "distribute_strategy", None)  # models of the TensorFlow backend alone have it
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)
