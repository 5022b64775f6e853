"""Faithfulness of the attribution maps: metrics of the ExplanationValidator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sperm_tf.config import MAP_FIGURES
from sperm_tf.evaluation.attribution.attribution_metrics import METHOD_LABELS, beats_both
from sperm_tf.explain.faithfulness import BASELINES, FIGURES
from sperm_tf.report import text
from sperm_tf.report.stages import Stage
from sperm_tf.served_names import SHOWN_MAP

TITLES = {
    "deletion_auc": "Deletion",
    "insertion_auc": "Insertion",
    "confidence_drop": "Average drop",
    "confidence_increase": "Increase",
    "energy_in_head": "Share on the head",
    "pointing_hit": "Pointing game",
    "likeness_to_other_maps": "Similarity to other maps",
}
_SHOWN = ("deletion_auc", "insertion_auc", "energy_in_head", "likeness_to_other_maps")
_FAITHFUL = ("deletion_auc", "insertion_auc")  # whether the answer depends on what the map marks
_BETTER = {"low": "lower is better", "high": "higher is better"}


def describe_maps(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Metrics of every attribution method, ready to print, and the verdict on the one that is shown."""
    stage = stages["explanation_validator"]
    figures, verdict = stage.read_json("figures.json"), stage.read_json("validation.json")
    methods = figures.get("methods") or {}
    names, cells = [name for name in METHOD_LABELS if name in methods], methods.get(SHOWN_MAP) or {}
    checks = verdict.get("checks") or []
    demanded = [check["figure"] for check in checks if check["figure"] in TITLES]
    shown = list(dict.fromkeys([*_SHOWN, *demanded]))
    area = figures.get("mask_area_share") or {}
    return {
        "is_known": bool(names),
        "num_images": figures.get("num_images"),
        "num_heads": figures.get("num_heads"),
        "area": text.percent(area.get("value")),
        "columns": [{"title": TITLES[name], "better": _BETTER[FIGURES[name]]} for name in shown],
        "rows": [
            {
                "name": METHOD_LABELS[name],
                "is_baseline": name in BASELINES,
                "cells": [_describe_cell(figure, methods[name].get(figure) or {}) for figure in shown],
            }
            for name in names
        ],
        "is_faithful": any(beats_both(cells.get(name) or {}) for name in _FAITHFUL),
        "better": _listed(cells, beats=True),
        "not_better": _listed(cells, beats=False),
        "failed": [TITLES.get(check["figure"], check["figure"]) for check in checks if not check.get("passed")],
    }


def _describe_cell(figure: str, cell: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": text.number(cell.get("value")),
        "bootstrap": text.interval(cell.get("bootstrap_95"), 3),
        "beats": figure in MAP_FIGURES and beats_both(cell),
    }


def _listed(cells: Mapping[str, Any], *, beats: bool) -> str:
    """Names of the shown metrics in which the map that is shown is, or is not, better than both baselines."""
    judged = [name for name in _SHOWN if name in cells and name in MAP_FIGURES]
    return text.listing([TITLES[name].lower() for name in judged if beats_both(cells[name]) == beats])
