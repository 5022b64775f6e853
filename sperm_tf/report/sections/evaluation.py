"""Evaluation of the model: metrics, and the checks of its thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sperm_tf.config import QUALITY_FIGURES
from sperm_tf.data.quality import BINS
from sperm_tf.report import plots, text
from sperm_tf.report.stages import Stage

_METRICS = ("precision", "recall", "f1", "auc")
_QUALITY_WORDS = {
    "snr": "signal to noise",
    "cnr": "contrast to noise",
    "sharpness": "sharpness, radians per pixel",
    "resolution": "shorter side, pixels",
}


def describe_evaluation(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """The evaluator's metrics with their intervals, ready to print, and the plots of them."""
    stage = stages["evaluator"]
    metrics, verdict = stage.read_json("metrics.json"), stage.read_json("validation.json")
    names = metrics.get("class_names") or list(metrics.get("per_class", {}))
    return {
        "is_known": bool(metrics),
        "num_examples": metrics.get("num_examples"),
        "num_groups": metrics.get("num_groups"),
        "accuracy": _figure(metrics.get("accuracy")),
        "macro_f1": _figure(metrics.get("macro_f1")),
        "macro_auc": _figure(metrics.get("macro_auc")),
        "num_right": _num_right(metrics),
        "majority_share": _majority_share(metrics),
        "is_no_better_than_majority": _is_no_better_than_majority(metrics),
        "classes": [_describe_class(name, metrics.get("per_class", {}).get(name) or {}) for name in names],
        "confusion": _describe_confusion(metrics, names),
        "unanswered": _unanswered(metrics.get("unanswered") or []),
        "slices": _describe_slices(metrics.get("slices") or {}),
        "quality": _describe_quality(metrics.get("slices") or {}, metrics.get("quality_edges") or {}),
        "bootstrap_samples": (metrics.get("intervals") or {}).get("bootstrap_samples"),
        "interval_plot": _plot_intervals(metrics, names),
        "probability_plot": _plot_probabilities(stage.read_csv("predictions.csv")),
        "checks": [_describe_check(check) for check in verdict.get("checks", [])],
        "has_thresholds": any(check.get("threshold") for check in verdict.get("checks", [])),
        "baseline": _describe_baseline(verdict.get("baseline")),
    }


def _unanswered(rows: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{"image_id": str(row.get("image_id", "")), "status": str(row.get("status", ""))} for row in rows]


def _describe_baseline(baseline: Any) -> str:
    """The model that this one was compared with, or why there was none."""
    if not isinstance(baseline, dict):
        return ""
    path = (baseline.get("model") or {}).get("path") or "none"
    return f"{path} ({baseline['reason']})" if baseline.get("reason") else path


def _figure(figure: Any) -> dict[str, Any]:
    """Value and intervals of one metric; empty texts for what is not there."""
    figure = figure if isinstance(figure, dict) else {}
    return {
        "value": figure.get("value"),
        "wilson": figure.get("wilson_95"),
        "bootstrap": figure.get("bootstrap_95"),
        "number": text.number(figure.get("value")),
        "percent": text.percent(figure.get("value")),
        "wilson_text": text.interval(figure.get("wilson_95")),
        "bootstrap_text": text.interval(figure.get("bootstrap_95")),
        "wilson_percent": text.percent_interval(figure.get("wilson_95")),
        "bootstrap_percent": text.percent_interval(figure.get("bootstrap_95")),
    }


def _describe_class(name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "support": figures.get("support"),
        **{metric: _figure(figures.get(metric)) for metric in _METRICS},
    }


def _counts(metrics: Mapping[str, Any]) -> list[list[int]]:
    matrix = metrics.get("confusion_matrix") or {}
    return matrix.get("counts", []) if isinstance(matrix, dict) else []


def _num_right(metrics: Mapping[str, Any]) -> int | None:
    counts = _counts(metrics)
    return sum(row[index] for index, row in enumerate(counts)) if counts else None


def _majority_share(metrics: Mapping[str, Any]) -> float | None:
    """Accuracy of always predicting the most frequent class."""
    sizes = [sum(row) for row in _counts(metrics)]
    return max(sizes) / sum(sizes) if sum(sizes) else None


def _is_no_better_than_majority(metrics: Mapping[str, Any]) -> bool:
    """Whether the accuracy, at the lower end of its interval, is one that no model at all would reach."""
    share, bounds = _majority_share(metrics), _figure(metrics.get("accuracy"))["wilson"]
    return share is not None and text.is_interval(bounds) and bounds[0] <= share


def _describe_confusion(metrics: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Cells of the confusion matrix; the column of images without a prediction only where there are any."""
    counts = _counts(metrics)
    has_unanswered = any(len(row) > len(names) and row[len(names)] for row in counts)
    columns = [*names, "no prediction"] if has_unanswered else list(names)
    rows = []
    for index, row in enumerate(counts):
        total = sum(row)
        cells = [
            {"count": value, "share": value / total if total else 0.0, "is_right": column == index}
            for column, value in enumerate(row[: len(columns)])
        ]
        rows.append({"name": names[index], "total": total, "cells": cells})
    return {"columns": columns, "rows": rows}


def _describe_slices(slices: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Slices by anything but the class, whose slice accuracy is the recall that is shown already."""
    return [
        {
            "feature": feature,
            "rows": [
                {
                    "value": value,
                    "num_examples": figures.get("num_examples"),
                    "accuracy": _figure(figures.get("accuracy")),
                }
                for value, figures in values.items()
            ],
        }
        for feature, values in slices.items()
        if feature != "label_name" and feature not in QUALITY_FIGURES
    ]


def _describe_quality(slices: Mapping[str, Any], edges: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Thirds of the images by each quality metric, the lowest first, then images without that metric."""
    rows = []
    for figure in [name for name in QUALITY_FIGURES if name in slices]:
        values = sorted(slices[figure], key=lambda value: (BINS.index(value) if value in BINS else len(BINS), value))
        for value in values:
            found = slices[figure][value]
            rows.append(
                {
                    "figure": _QUALITY_WORDS[figure],
                    "value": value,
                    "range": _describe_range(figure, value, edges.get(figure)),
                    "num_examples": found.get("num_examples"),
                    "accuracy": _figure(found.get("accuracy")),
                }
            )
    return rows


def _describe_range(figure: str, value: str, edges: Any) -> str:
    """From where to where a third reaches."""
    if value not in BINS or not edges:
        return ""
    # Pixels are whole: from 189.7 on is from 190 on.
    low, high = (f"{math.ceil(edge):,}" if figure == "resolution" else f"{edge:,.2f}" for edge in edges)
    return {"low": f"below {low}", "medium": f"{low} to {high}", "high": f"{high} and more"}[value]


def _describe_check(check: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "metric": str(check.get("metric", "")).replace("_", " "),
        "kind": check.get("kind", ""),
        "value": text.number(check.get("value")),
        "threshold": text.number(check.get("threshold")),
        "passed": bool(check.get("passed")),
    }


def _plot_intervals(metrics: Mapping[str, Any], names: list[str]) -> str:
    """Recall and F1 of every class below the overall metrics.

    Shares have Wilson's interval: where a class is all right or all wrong, the bootstrap's has no width.
    """
    rows = [_interval_row("accuracy, all images", metrics.get("accuracy"), "second")]
    rows += [_interval_row("macro F1, all images", metrics.get("macro_f1"), "second")]
    for name in names:
        figures = metrics.get("per_class", {}).get(name) or {}
        rows += [_interval_row(f"{name}: {key}", figures.get(key), "first") for key in ("recall", "f1")]
    found = [row for row in rows if row["value"] is not None]
    if not found:
        return ""
    words = "; ".join(f"{row['label']} {text.number(row['value'])} ({text.interval([row['low'], row['high']])})"
                      for row in found)  # fmt: skip
    return plots.intervals(found, title="Metrics with their 95 % intervals", description=words)


def _interval_row(label: str, figure: Any, colour: str) -> dict[str, Any]:
    figure = figure if isinstance(figure, dict) else {}
    bounds = figure.get("wilson_95") or figure.get("bootstrap_95")
    low, high = bounds if text.is_interval(bounds) else (None, None)
    value = figure.get("value") if text.is_finite(figure.get("value")) else None
    return {"label": label.replace(": f1", ": F1"), "value": value, "low": low, "high": high, "colour": colour}


def _plot_probabilities(rows: list[dict[str, str]]) -> str:
    """Probability of the predicted class, right and wrong apart."""
    right: list[float] = []
    wrong: list[float] = []
    for row in rows:
        name = row.get("predicted_name") or ""
        try:
            probability = float(row.get(f"p_{name}") or "")
        except ValueError:
            continue  # a row without a prediction
        (right if name == row.get("label_name") else wrong).append(probability)
    if not right and not wrong:
        return ""
    return plots.probability_histogram(
        right,
        wrong,
        title="Right and wrong predictions",
        description=f"{len(right)} right predictions, median probability {_median(right)}; "
        f"{len(wrong)} wrong predictions, median probability {_median(wrong)}",
    )


def _median(values: list[float]) -> str:
    return text.number(sorted(values)[len(values) // 2], 2) if values else text.NOTHING
