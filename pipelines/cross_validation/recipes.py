"""The training recipe of each model of a cross-validation, from that of the preset's `efficientnet_b0_cbam`."""

from __future__ import annotations

import dataclasses

from sperm_tf.config import TrainerConfig

PRETRAINED = ("efficientnet_b0", "efficientnet_b0_cbam")
TRANSFORMER = "vit_tiny"
SCRATCH_EPOCHS = 2.5
"""How many times the epochs a network takes that starts from random weights where the others start from pretrained."""
MAX_TRANSFORMER_RATE = 1e-4
"""Highest learning rate of a transformer; at the 1e-3 of the other networks it learns next to nothing."""
TRANSFORMER_WARMUP = 0.15
"""Share of the steps over which its rate rises."""


def memorizing(trainer: TrainerConfig, epochs: int) -> TrainerConfig:
    """The recipe for learning labels by heart: from random weights, with nothing that keeps it from overfitting.

    Args:
        trainer: of the network that the result is compared with.
        epochs: how many.
    """
    return dataclasses.replace(
        trainer,
        model=dataclasses.replace(trainer.model, weights="none", dropout=0.0),
        frozen_epochs=0,
        full_epochs=epochs,
        weight_decay=0.0,
        label_smoothing=0.0,
        mixup_alpha=0.0,
        augmentation=(),
        class_weights=False,
        early_stopping_patience=0,
        checkpoint="last",
        views=1,
    )


def trainer_for(trainer: TrainerConfig, model: str) -> TrainerConfig:
    """The recipe of a model.

    EfficientNet-B0 with and without CBAM share every setting; but pretrained weights come from a network with CBAM,
    which the one without leaves out. The other networks have no pretrained weights: they start at random, take more
    epochs, and have no frozen phase. A transformer has a lower rate and a longer warm-up, too.

    Args:
        trainer: the preset's recipe.
        model: of `sperm_tf.config.MODELS`.
    """
    recipe = dataclasses.replace(trainer, model=dataclasses.replace(trainer.model, name=model))
    if model == TRANSFORMER:
        rate = min(recipe.full_learning_rate, MAX_TRANSFORMER_RATE)
        recipe = dataclasses.replace(recipe, full_learning_rate=rate, warmup_share=TRANSFORMER_WARMUP)
    if model in PRETRAINED or trainer.model.weights == "none":
        return recipe
    return dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, weights="none"),
        frozen_epochs=0,
        full_epochs=round(SCRATCH_EPOCHS * trainer.full_epochs),
    )
