"""How the model was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.models import released
from sperm_tf.models.registry import BACKBONES
from sperm_tf.report import plots, text
from sperm_tf.report.stages import Stage

_PHASES = {"frozen": "frozen backbone", "full": "whole network"}


def describe_training(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """The model, its recipe, and the curves of its training."""
    stage = stages["trainer"]
    model = stage.read_json("model.json")
    config = stage.config or model.get("config") or {}
    history = stage.read_json("history.json")
    losses = {"training": _series(history, "loss"), "validation": _series(history, "val_loss")}
    accuracies = {"training": _series(history, "accuracy"), "validation": _series(history, "val_accuracy")}
    phases = [_PHASES.get(str(phase), str(phase)) for phase in history.get("phase") or []]
    best = _kept_epoch(stage.record.get("properties", {}).get("best_epoch"), config, losses["validation"])
    architecture = config.get("model") or {}
    weights = str(architecture.get("weights") or "")
    return {
        "is_known": stage.directory is not None,
        "model_name": architecture.get("name") or "model",
        "weights": weights,
        "starts_from_file": bool(weights) and weights not in released.WITHOUT_FILE and not released.is_name(weights),
        "has_cbam": "cbam" in str(architecture.get("name", "")),
        "image_size": model.get("image_size"),
        "views": config.get("views") or 1,
        "num_parameters": model.get("num_parameters") or stage.record.get("properties", {}).get("num_parameters"),
        "num_epochs": max(map(len, losses.values())),
        "best_epoch": best,
        "keeps_last": config.get("checkpoint") == "last",
        "best_validation_loss": text.number(losses["validation"][best - 1]) if best else "",
        "duration": text.duration(stage.record.get("duration_s")),
        "recipe": _describe_recipe(config),
        "loss_plot": _plot(losses, "Loss", phases, best),
        "accuracy_plot": _plot(accuracies, "Accuracy", phases, best),
    }


def _series(history: Mapping[str, Any], name: str) -> list[float | None]:
    values = history.get(name) or []
    return [value if text.is_finite(value) else None for value in values]


def _kept_epoch(named: Any, config: Mapping[str, Any], losses: Sequence[float | None]) -> int | None:
    """Number, from 1, of the epoch that was kept: what the Trainer recorded, else what its recipe asks for."""
    if isinstance(named, int) and 1 <= named <= len(losses):
        return named
    if config.get("checkpoint") == "last":
        return len(losses) or None
    known = [(value, epoch) for epoch, value in enumerate(losses, start=1) if value is not None]
    return min(known)[1] if known else None


def _plot(values: Mapping[str, list[float | None]], title: str, phases: Sequence[str], best: int | None) -> str:
    if not any(values.values()):
        return ""
    ends = [
        f"{name} from {text.number(series[0])} in the first epoch to {text.number(series[-1])} in the last"
        for name, series in values.items()
        if series
    ]
    if best and best <= len(values["validation"]):
        ends.append(f"epoch {best} was kept, with validation at {text.number(values['validation'][best - 1])}")
    return plots.training_curve(values, title=title, description="; ".join(ends), phases=phases, best_epoch=best)


def _describe_recipe(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The options that shape the result, in words; options that are not recorded are left out."""
    model = config.get("model") or {}
    has_cbam = model.get("name") in BACKBONES and BACKBONES[model["name"]].has_cbam
    rows = [
        ("Architecture", model.get("name")),
        ("Initial weights", "random (no pretraining)" if model.get("weights") == "none" else model.get("weights")),
        ("CBAM after", ", ".join(model.get("cbam_after") or []) if has_cbam else None),
        ("Phase 1: frozen backbone", _describe_phase(config, "frozen")),
        ("Phase 2: whole network", _describe_phase(config, "full")),
        ("Stages that keep their weights", config.get("frozen_stages") or "none"),
        ("Schedule", config.get("schedule")),
        ("Batch size", config.get("batch_size")),
        ("Augmentation", ", ".join(config.get("augmentation") or []) or "none"),
        ("MixUp alpha", config.get("mixup_alpha") or "off"),
        ("View consistency", config.get("view_consistency") or "off"),
        ("Label smoothing", config.get("label_smoothing") or "off"),
        ("Weight decay", config.get("weight_decay")),
        ("Dropout", model.get("dropout")),
        ("Class weights", "inverse frequency" if config.get("class_weights") else "off"),
        ("Early stopping", _describe_patience(config.get("early_stopping_patience"))),
        ("Precision", config.get("precision")),
        ("Predictions averaged over", _describe_views(config.get("views"))),
        ("Seed", config.get("seed")),
    ]
    return [(name, str(value)) for name, value in rows if value is not None] if config else []


def _describe_phase(config: Mapping[str, Any], phase: str) -> str | None:
    epochs = config.get(f"{phase}_epochs")
    if epochs is None:
        return None
    if not epochs:
        return "left out"
    return f"up to {text.plural(epochs, 'epoch')}, learning rate {config.get(f'{phase}_learning_rate')}"


def _describe_views(views: int | None) -> str | None:
    if views is None:
        return None
    return f"{views} views (rotations by right angles and mirror images)" if views > 1 else "nothing"


def _describe_patience(patience: int | None) -> str | None:
    if patience is None:
        return None
    return f"after {text.plural(patience, 'epoch')} without a better validation loss" if patience else "off"
