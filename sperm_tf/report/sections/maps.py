"""Whether the maps show what the answers depend on: figures of the ExplanationValidator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sperm_tf.evaluation.explanation_figures import METHOD_LABELS, beats_both
from sperm_tf.explain.faithfulness import BASELINES, FIGURES
from sperm_tf.report import text
from sperm_tf.report.stages import Stage

TITLES = {
    "deletion_auc": "Deletion",
    "insertion_auc": "Insertion",
    "energy_in_head": "Share on the head",
    "likeness_to_other_maps": "Likeness to other maps",
}
_BETTER = {"low": "lower is better", "high": "higher is better"}
_JUDGED = "layer_cam"


def describe_maps(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Figures of every map that was measured, ready to print, and what they say of LayerCAM."""
    stage = stages["explanation_validator"]
    figures, verdict = stage.read_json("figures.json"), stage.read_json("validation.json")
    methods = figures.get("methods") or {}
    names = [name for name in METHOD_LABELS if name in methods]
    area = figures.get("mask_area_share") or {}
    return {
        "is_known": bool(names),
        "num_images": figures.get("num_images"),
        "num_heads": figures.get("num_heads"),
        "area": text.percent(area.get("value")),
        "columns": [{"title": title, "better": _BETTER[FIGURES[name]]} for name, title in TITLES.items()],
        "rows": [
            {
                "name": METHOD_LABELS[name],
                "is_baseline": name in BASELINES,
                "cells": [_describe_cell(methods[name].get(figure) or {}) for figure in TITLES],
            }
            for name in names
        ],
        "better": _listed(methods, beats=True),
        "not_better": _listed(methods, beats=False),
        "failed": [
            TITLES.get(check["figure"], check["figure"])
            for check in verdict.get("checks") or []
            if not check.get("passed")
        ],
    }


def _describe_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": text.number(cell.get("value")),
        "bootstrap": text.interval(cell.get("bootstrap_95"), 3),
        "beats": beats_both(cell),
    }


def _listed(methods: Mapping[str, Any], *, beats: bool) -> str:
    """Names of the figures in which LayerCAM is, or is not, better than both baselines."""
    cells = methods.get(_JUDGED) or {}
    found = [name for name in TITLES if name in cells and beats_both(cells[name]) == beats]
    return text.listing([TITLES[name].lower() for name in found])
