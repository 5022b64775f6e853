"""Metrics of a cross-validation as the template prints them: models, pairs of models, fits."""

from __future__ import annotations

import base64
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.report import text
from sperm_tf.report.cross_validation import fold_plot
from sperm_tf.report.published import results_page, results_plots
from sperm_tf.report.published import results_tables as tables
from sperm_tf.schemas.cross_validation import Comparison, FitEntry, ModelResults, PairedTest, Results
from sperm_tf.schemas.metrics import ReliabilityBin

_FIGURES = ("macro_f1", "kappa", "mcc", "nll", "brier", "ece")


def describe_model(name: str, model: Mapping[str, Any], class_names: Sequence[str]) -> dict[str, Any]:
    """Every metric of one model, its confusion matrix and its reliability diagram.

    Args:
        name: of the model.
        model: its entry in `results.json`.
        class_names: names by label.
    """
    pooled = model["pooled"]
    return {
        "name": name,
        "num_repeats": model["num_repeats"],
        "accuracy": tables.mean_and_sd(model["over_folds"]["accuracy"]),
        "accuracy_bounds": _percent_bounds(pooled["accuracy"]["bootstrap_95"]),
        "wilson": _percent_bounds(pooled["accuracy"].get("wilson_95")),
        **{figure: _figure(pooled[figure]) for figure in _FIGURES},
        "classes": [
            {
                "name": label,
                "support": values["support"],
                **{figure: _figure(values[figure]) for figure in ("precision", "recall", "f1")},
            }
            for label, values in pooled["per_class"].items()
        ],
        "confusion": _describe_confusion(model["confusion_matrix"]["counts"], class_names),
        "reliability": _draw_reliability(name, model["reliability"]),
        "tendency": _tendency(model["reliability"]),
    }


def plot_models(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Accuracy and macro F1 of every model, fold by fold: SVG elements."""
    return [
        fold_plot.draw(
            [
                {
                    "label": name,
                    "value": model["pooled"][figure]["value"],
                    "interval": model["pooled"][figure]["bootstrap_95"],
                    "folds": [(fold["repeat"], fold[figure]) for fold in model["folds"]],
                }
                for name, model in models.items()
            ],
            title=title,
            description="; ".join(
                f"{name} {text.number(model['pooled'][figure]['value'])} "
                f"({text.interval(model['pooled'][figure]['bootstrap_95'])})"
                for name, model in models.items()
            ),
        )
        for figure, title in (("accuracy", "Accuracy"), ("macro_f1", "Macro F1"))
    ]


def describe_comparisons(results: Results) -> list[dict[str, Any]]:
    """Every pair of models with its tests, and what they show in words."""
    return [
        {
            "first": pair["first"],
            "second": pair["second"],
            "num_folds": pair["accuracy"]["num_differences"],
            "accuracy": _describe_test(pair["accuracy"], scale=100, digits=1),
            "macro_f1": _describe_test(pair["macro_f1"], scale=1, digits=3),
            "outcome": _outcome(pair),
            "mcnemar": [
                {
                    "repeat": test["repeat"] + 1,
                    "only_first": test["only_first"],
                    "only_second": test["only_second"],
                    "p": tables.p_value(test["p_value"]),
                }
                for test in pair["mcnemar"]
            ],
        }
        for pair in results["comparisons"]
    ]


def describe_training(fits: Sequence[FitEntry], models: Mapping[str, ModelResults]) -> list[dict[str, Any]]:
    """What the fits of every model took, those of the analysed repeats only; no row for a model without any."""
    rows = []
    for name, model in models.items():
        chosen = [fit for fit in fits if fit["model"] == name and fit["repeat"] < model["num_repeats"]]
        if chosen:
            rows.append(
                {
                    "name": name,
                    "num_fits": len(chosen),
                    "num_expected": model["num_fits"],
                    "epochs": _spread([fit["num_epochs"] for fit in chosen]),
                    "best_epoch": _spread([fit["best_epoch"] for fit in chosen]),
                    "seconds": text.duration(sum(fit["seconds"] for fit in chosen) / len(chosen)),
                    "total": text.duration(sum(fit["seconds"] for fit in chosen)),
                    "validation": _mean_percent([fit.get("validation_accuracy") for fit in chosen]),
                    "test": _mean_percent([fold["accuracy"] for fold in model["folds"]]),
                    "backends": ", ".join(sorted({str(fit["backend"]) for fit in chosen})),
                    "kept_last": sum(fit["best_epoch"] == fit["num_epochs"] for fit in chosen),
                }
            )
    return rows


def _figure(figure: Mapping[str, Any]) -> dict[str, str]:
    return {"number": text.number(figure["value"]), "bounds": text.interval(figure["bootstrap_95"], 3)}


def _percent_bounds(bounds: Any) -> str:
    return f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}" if text.is_interval(bounds) else ""


def _describe_confusion(counts: Sequence[Sequence[int]], class_names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "name": class_names[index],
            "cells": [
                {"count": count, "share": count / max(sum(row), 1), "is_right": index == column}
                for column, count in enumerate(row)
            ],
        }
        for index, row in enumerate(counts)
    ]


def _draw_reliability(name: str, bins: Sequence[ReliabilityBin]) -> dict[str, str]:
    """The diagram of the results page as a data URI, with its content in words."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "reliability.png"
        results_plots.reliability(file, bins, title=name)
        content = base64.b64encode(file.read_bytes()).decode("ascii")
    words = "; ".join(
        f"probability {text.number(item['confidence'], 2)}: {text.percent(item['accuracy'], 0)} right ({item['count']})"
        for item in bins
    )
    return {"source": f"data:image/png;base64,{content}", "alt": f"Reliability diagram of {name}. {words}"}


def _tendency(bins: Sequence[ReliabilityBin]) -> str:
    """Whether the model is overconfident or underconfident on average."""
    total = sum(item["count"] for item in bins)
    confidence = sum(item["count"] * item["confidence"] for item in bins) / total
    accuracy = sum(item["count"] * item["accuracy"] for item in bins) / total
    said = f"mean confidence {text.percent(confidence)}, accuracy {text.percent(accuracy)}"
    if abs(confidence - accuracy) < 0.01:
        return said
    return f"{said}: {'overconfident' if confidence > accuracy else 'underconfident'}"


def _describe_test(test: PairedTest, *, scale: float, digits: int) -> dict[str, str]:
    value, _, bounds = tables.difference(test, scale=scale, digits=digits).partition(" ")
    return {
        "difference": value,
        "bounds": bounds,
        "p": tables.p_value(test["p_value"]),
        "holm": tables.p_value(test["p_value_holm"]),
    }


def _outcome(pair: Comparison) -> str:
    test = pair["accuracy"]
    if test["p_value_holm"] >= results_page.SIGNIFICANT:
        return "no difference in accuracy is shown"
    return f"{pair['second'] if test['difference'] > 0 else pair['first']} is more accurate"


def _spread(values: Sequence[float]) -> str:
    """`24 (18–30)`: median, lowest and highest."""
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    shown = f"{middle:g}"
    return shown if ordered[0] == ordered[-1] else f"{shown} ({ordered[0]:g}–{ordered[-1]:g})"


def _mean_percent(values: Sequence[Any]) -> str:
    known = [value for value in values if text.is_finite(value)]
    return text.percent(sum(known) / len(known)) if known and len(known) == len(values) else ""
