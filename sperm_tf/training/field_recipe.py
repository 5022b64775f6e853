"""How the network that parses fields is trained."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Sequence

import keras

from sperm_tf import kernels
from sperm_tf.models.field_parser import build_field_parser, freeze_early_stages
from sperm_tf.training.callbacks import FiniteLossGuard, StopAfterEpoch
from sperm_tf.training.field_crops import FieldCrops
from sperm_tf.training.field_losses import losses
from sperm_tf.training.field_samples import FieldSample
from sperm_tf.training.schedules import build_schedule
from sperm_tf.training.state import StateStore


@dataclasses.dataclass(frozen=True)
class ParserRecipe:
    """Settings of a training.

    Attributes:
        num_drawn: number of drawn fields.
        num_epochs: parts of the training; the state is committed after each.
        epoch_steps: training steps of each.
        batch_size: crops in a batch.
        crop_px: side of the crops, a multiple of 16.
        learning_rate: highest one, of AdamW with a cosine schedule.
        weight_decay: of AdamW.
        frozen_stages: first stages of the encoder that keep their weights.
        weights: what the encoder starts from, see `sperm_tf.models.field_parser.build_field_parser`.
        drawn_seed: seed of the renderer.
        seed: settles everything else that is random.
    """

    num_drawn: int = 360
    num_epochs: int = 20
    epoch_steps: int = 100
    batch_size: int = 8
    crop_px: int = 256
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-3
    frozen_stages: int = 2
    weights: str = "imagenet_lite0"
    drawn_seed: int = 1
    seed: int = 0


def train_parser(
    samples: Sequence[FieldSample],
    recipe: ParserRecipe,
    *,
    work_dir: str | os.PathLike[str],
    shares: Sequence[float] | None = None,
    verbose: int | str = 2,
) -> keras.Model:
    """Trains the network, or continues a training that was stopped.

    Args:
        samples: the fields.
        recipe: the settings.
        work_dir: folder for the state and `history.json`.
        shares: as for `sperm_tf.training.field_crops.FieldCrops`.
        verbose: as in `keras.Model.fit`.

    Raises:
        NonFiniteLossError: the loss is no longer finite.
        ValueError: `work_dir` holds another training.
    """
    keras.utils.set_random_seed(recipe.seed)
    model = build_field_parser(recipe.weights)
    freeze_early_stages(model, recipe.frozen_stages)
    work_dir = pathlib.Path(work_dir)
    store = StateStore(work_dir / "state", {**dataclasses.asdict(recipe), "num_samples": len(samples)})
    history = store.open()
    with kernels.fused(model):
        _compile(model, recipe)
        if history:
            store.restore_last(model)
        for epoch in range(len(history.get("epoch", ())), recipe.num_epochs):
            crops = FieldCrops(
                samples,
                num_batches=recipe.epoch_steps,
                batch_size=recipe.batch_size,
                crop_px=recipe.crop_px,
                seed=recipe.seed * recipe.num_epochs + epoch,
                shares=shares,
            )
            start = time.monotonic()
            found = model.fit(
                crops,
                initial_epoch=epoch,
                epochs=recipe.num_epochs,
                callbacks=[FiniteLossGuard(), StopAfterEpoch()],
                shuffle=False,
                verbose=verbose,
            ).history
            entry = {"epoch": epoch + 1, **{name: float(values[-1]) for name, values in found.items()}}
            for name, value in {**entry, "seconds": round(time.monotonic() - start, 1)}.items():
                history.setdefault(name, []).append(value)
            store.commit(model, history, is_best=True)
            (work_dir / "history.json").write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")
    return model


def _compile(model: keras.Model, recipe: ParserRecipe) -> None:
    rate = build_schedule(
        "cosine", peak=recipe.learning_rate, num_steps=recipe.num_epochs * recipe.epoch_steps, warmup_share=0.05
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, clipnorm=5.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer=optimizer, loss=losses(), jit_compile=False)
    model.optimizer.build(model.trainable_variables)  # its variables must exist before a state can be restored
