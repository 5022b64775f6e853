"""The training recipe: first with a frozen backbone, then the whole network at a lower rate."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import time
from typing import Any

import keras
import numpy as np

from sperm_tf import kernels
from sperm_tf.config import TrainerConfig
from sperm_tf.layers.view_consistency import ViewConsistency
from sperm_tf.models.classifier import FEATURE_MAP, backbone_layers, first_stages
from sperm_tf.models.released import identify_weights
from sperm_tf.training.callbacks import FiniteLossGuard, StopAfterEpoch, current_learning_rate
from sperm_tf.training.devices import check_devices
from sperm_tf.training.schedules import build_schedule
from sperm_tf.training.state import History, StateStore
from sperm_tf.whole_files import write_text


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What a training leaves.

    Attributes:
        model: with the weights of the epoch that `config.checkpoint` names.
        history: one list a name, one entry an epoch: `epoch` (from 1), `phase` (`frozen` or `full`), `loss`,
            `accuracy`, `val_loss`, `val_accuracy`, `learning_rate` (after the last step) and `seconds`.
        best_epoch: that epoch, from 1; `best` is the one with the lowest validation loss of both phases.
    """

    model: keras.Model
    history: History
    best_epoch: int


@dataclasses.dataclass(frozen=True)
class _Phase:
    name: str
    num_epochs: int
    peak_learning_rate: float
    trains_backbone: bool


def train(
    model: keras.Model,
    train_data: Any,
    validation_data: Any,
    *,
    config: TrainerConfig,
    work_dir: str | os.PathLike,
    logs_dir: str | os.PathLike | None = None,
    verbose: int | str = "auto",
) -> TrainingResult:
    """Trains a classifier, or continues a training that was killed.

    Phase `frozen` trains the head and CBAM; the backbone keeps its weights, and its BatchNormalization computes with
    its stored statistics. Phase `full` starts from the weights kept so far and trains everything. AdamW (Loshchilov
    and Hutter 2019), without decay of biases and normalization, and a fresh optimizer for each phase. A phase ends
    early after `early_stopping_patience` epochs without a lower validation loss than the phase's lowest; the loss
    is the label-smoothed one in validation, too.

    After every epoch the state is committed to `work_dir`; called again with the same settings, the training goes on
    with the next epoch. That repeats an uninterrupted run exactly where the data of an epoch depend on its number
    only: so pass `train_data` as a function of the epoch. For repeatable runs also call
    `keras.utils.set_random_seed(config.seed)` before the model is built.

    Args:
        model: of `build_classifier`, built under the dtype policy `config.precision`.
        train_data: batches (images [B, S, S, 3], one-hot float labels [B, C], optionally sample weights [B]): a
            `tf.data.Dataset`, `keras.utils.PyDataset` or whatever else `fit` takes, has a length and is one epoch;
            or a function from the epoch (from 0, over both phases) to such.
        validation_data: such batches, the same in every epoch.
        config: the settings.
        work_dir: folder for the state and `history.json`.
        logs_dir: folder for TensorBoard; TensorFlow backend only.
        verbose: as in `fit`: "auto" or 1 show a progress bar, 2 a line an epoch, 0 nothing.

    Raises:
        NonFiniteLossError: the loss is no longer finite.
        ValueError: an argument does not fit, or `work_dir` holds another training.
    """
    _check(model, config, logs_dir)
    keras.utils.set_random_seed(config.seed)
    num_steps = _count_steps(train_data)
    work_dir = pathlib.Path(work_dir)
    settings = {**dataclasses.asdict(config), "number of training steps": num_steps}
    settings["model"]["weights"] = identify_weights(config.model.weights)
    store = StateStore(work_dir / "state", json.loads(json.dumps(settings)))
    history = store.open()
    fit_arguments = {
        "validation_data": validation_data,
        "epochs": config.frozen_epochs + config.full_epochs,
        "callbacks": _build_callbacks(logs_dir),
        "verbose": verbose,
        "shuffle": False,  # the order is the data's own; Keras would shuffle a PyDataset by a global generator
    }

    trained = _with_consistency(model, config.view_consistency)
    with kernels.fused(model):
        for phase in _phases(config):
            if _is_over(phase, history, config.early_stopping_patience):
                continue
            _compile(trained, phase, config, num_steps=num_steps)
            if phase.name in history.get("phase", ()):
                store.restore_last(trained)
            elif history:
                store.restore_best(trained)
            while not _is_over(phase, history, config.early_stopping_patience):
                epoch = len(history.get("epoch", ()))
                data = train_data(epoch) if callable(train_data) else train_data
                entry = {"epoch": epoch + 1, "phase": phase.name, **_run_epoch(trained, data, epoch, **fit_arguments)}
                for name, value in entry.items():
                    history.setdefault(name, []).append(value)
                store.commit(
                    trained, history, is_best=_kept_index(history, config.checkpoint) == len(history["val_loss"]) - 1
                )
                _write_history(work_dir, history)

    store.restore_best(trained)
    for layer in model.layers:
        layer.trainable = True
    _write_history(work_dir, history)
    return TrainingResult(model, history, _kept_index(history, config.checkpoint) + 1)


def _with_consistency(model: keras.Model, weight: float) -> keras.Model:
    """The same layers, and a loss between the views of a batch where `weight` is not 0."""
    return keras.Model(model.inputs, ViewConsistency(weight)(model.outputs[0]), name=model.name) if weight else model


def _phases(config: TrainerConfig) -> tuple[_Phase, _Phase]:
    return (
        _Phase("frozen", config.frozen_epochs, config.frozen_learning_rate, trains_backbone=False),
        _Phase("full", config.full_epochs, config.full_learning_rate, trains_backbone=True),
    )


def _is_over(phase: _Phase, history: History, patience: int) -> bool:
    """Derived from the history alone, so that a resumed training decides as an uninterrupted one."""
    names, losses = history.get("phase", []), history.get("val_loss", [])
    losses = [loss for name, loss in zip(names, losses, strict=True) if name == phase.name]
    if len(losses) >= phase.num_epochs:
        return True
    return bool(losses and patience and len(losses) - 1 - int(np.argmin(losses)) >= patience)


def _kept_index(history: History, checkpoint: str) -> int:
    return len(history["val_loss"]) - 1 if checkpoint == "last" else int(np.argmin(history["val_loss"]))


def _compile(model: keras.Model, phase: _Phase, config: TrainerConfig, *, num_steps: int) -> None:
    model.trainable = True
    for layer in backbone_layers(model):
        layer.trainable = phase.trains_backbone
    for layer in first_stages(model, config.frozen_stages) if config.frozen_stages else ():
        layer.trainable = False
    learning_rate = build_schedule(
        config.schedule,
        peak=phase.peak_learning_rate,
        num_steps=phase.num_epochs * num_steps,
        warmup_share=config.warmup_share,
    )
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    # Its variables must exist before a state can be restored.
    model.optimizer.build(model.trainable_variables)


def _build_callbacks(logs_dir: str | os.PathLike | None) -> list[keras.callbacks.Callback]:
    callbacks: list[keras.callbacks.Callback] = [FiniteLossGuard(), StopAfterEpoch()]
    if logs_dir is not None:
        callbacks.append(keras.callbacks.TensorBoard(str(logs_dir), write_graph=False))
    return callbacks


def _run_epoch(model: keras.Model, data: Any, epoch: int, **fit_arguments: Any) -> dict[str, float]:
    """Trains and validates one epoch, counted from 0; returns its metrics by name."""
    start = time.monotonic()
    metrics = model.fit(data, initial_epoch=epoch, **fit_arguments).history
    return {
        **{name: float(values[-1]) for name, values in metrics.items()},
        "learning_rate": current_learning_rate(model),
        "seconds": round(time.monotonic() - start, 3),
    }


def _check(model: keras.Model, config: TrainerConfig, logs_dir: str | os.PathLike | None) -> None:
    backbone_layers(model)
    check_devices(model, config)
    precision = model.get_layer(FEATURE_MAP).dtype_policy.name
    if precision != config.precision:
        raise ValueError(
            f"model must be built under config.precision={config.precision!r}. Received: a model of {precision!r}. "
            "Call keras.config.set_dtype_policy(config.precision) before build_classifier."
        )
    if logs_dir is not None and keras.config.backend() != "tensorflow":
        raise ValueError(
            f"logs_dir must be None on the backend {keras.config.backend()!r}: TensorBoard's files are written through "
            f"TensorFlow. Received: logs_dir={str(logs_dir)!r}. history.json holds the same figures."
        )


def _count_steps(train_data: Any) -> int:
    data = train_data(0) if callable(train_data) else train_data
    try:
        return len(data)
    except TypeError as error:
        raise ValueError(
            "train_data must have a length, the number of batches in an epoch. Received: "
            f"{type(data).__name__}, {error} For a tf.data.Dataset drop repeat() or use apply(assert_cardinality(n))."
        ) from error


def _write_history(work_dir: pathlib.Path, history: History) -> None:
    write_text(work_dir / "history.json", json.dumps(history, indent=1))
