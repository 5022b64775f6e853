"""The training recipe of each model of a cross-validation, from that of the preset's `efficientnet_b0_cbam`."""

from __future__ import annotations

import dataclasses

from sperm_tf.config import TrainerConfig
from sperm_tf.models.registry import find_backbone

SCRATCH_EPOCHS = 2.5
"""How many times the epochs a network takes that starts from random weights where the others start from pretrained."""


def memorizing(trainer: TrainerConfig, epochs: int) -> TrainerConfig:
    """The recipe for memorising labels: from random weights, with nothing that keeps it from overfitting.

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
        frozen_stages=0,
        view_consistency=0.0,
        early_stopping_patience=0,
        checkpoint="last",
        views=1,
    )


def trainer_for(trainer: TrainerConfig, model: str) -> TrainerConfig:
    """The recipe of a model.

    EfficientNet-B0 with and without CBAM share every setting; but pretrained weights come from a network with CBAM,
    which the one without leaves out. EfficientNet-Lite0 starts from weights of its own. The other networks have no
    pretrained weights: they start at random, take more epochs, and have no frozen phase or stage. A transformer has a
    lower rate and a longer warm-up, too.

    Args:
        trainer: the preset's recipe.
        model: of `sperm_tf.models.registry.BACKBONES`, whose entry says which of these it is.
    """
    network = dataclasses.replace(trainer.model, name=model)
    backbone = find_backbone(model)
    frozen_stages = trainer.frozen_stages if backbone.has_stages else 0
    recipe = dataclasses.replace(trainer, model=network, frozen_stages=frozen_stages)
    if backbone.max_learning_rate is not None:
        rate = min(recipe.full_learning_rate, backbone.max_learning_rate)
        recipe = dataclasses.replace(recipe, full_learning_rate=rate)
    if backbone.warmup_share is not None:
        recipe = dataclasses.replace(recipe, warmup_share=backbone.warmup_share)
    if trainer.model.weights == "none":
        return recipe
    if backbone.initial_weights != "none":
        if backbone.initial_weights != find_backbone(trainer.model.name).initial_weights:
            recipe = dataclasses.replace(
                recipe, model=dataclasses.replace(recipe.model, weights=backbone.initial_weights)
            )
        return recipe
    return dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, weights="none"),
        frozen_epochs=0,
        frozen_stages=0,
        full_epochs=round(SCRATCH_EPOCHS * trainer.full_epochs),
    )
