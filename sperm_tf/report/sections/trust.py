"""Selective classification, conformal prediction sets and calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sperm_tf.report import plots, text
from sperm_tf.report.stages import Stage
from sperm_tf.served_names import CONFIDENT, NO_GUARANTEE, NOT_CALIBRATED, UNCERTAIN, UNFAMILIAR

_SCORES = (
    ("ece", "Calibration error, bins of equal width (ECE)"),
    ("ece_equal_mass", "Calibration error, bins of equal mass"),
    ("nll", "Negative log-likelihood"),
    ("brier", "Brier score"),
    ("aurc", "Area under the risk-coverage curve"),
)
REASONS = {
    CONFIDENT: "accepted: the probability reaches the threshold",
    UNCERTAIN: "the probability is below the threshold",
    UNFAMILIAR: "out-of-distribution image",
    NO_GUARANTEE: "the calibration images guarantee nothing",
    NOT_CALIBRATED: "nobody calibrated the model",
}


def describe_trust(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """The evaluator's metrics of trust, ready to print, and what the calibrator guarantees."""
    figures = stages["evaluator"].read_json("metrics.json").get("trust") or {}
    rule = stages["calibrator"].read_json("decision.json")
    selection, sets = figures.get("selection") or {}, figures.get("sets") or {}
    accepted = _share(selection.get("accepted"))
    return {
        "is_known": bool(figures),
        "num_answered": figures.get("num_answered"),
        "promise": _describe_promise(rule),
        "accepted": accepted,
        "accuracy_of_accepted": _share(selection.get("accuracy_of_accepted")),
        "num_accepted": selection.get("num_accepted"),
        "reasons": [
            {"text": REASONS.get(reason, reason), "count": count}
            for reason, count in sorted((selection.get("reasons") or {}).items(), key=lambda item: -item[1])
        ],
        "coverage": _share(sets.get("coverage")),
        "mean_size": _score(sets.get("mean_size")),
        "sizes": sets.get("sizes") or {},
        "classes": _describe_classes(sets, selection),
        "scores": [{"name": name, **_score((figures.get("scores") or {}).get(key))} for key, name in _SCORES],
        "reliability_plot": _plot_reliability(figures.get("reliability") or []),
        "risk_coverage_plot": _plot_risk_coverage(figures, selection),
    }


def _describe_promise(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Guarantees from the calibration images; empty where nobody calibrated."""
    if not rule:
        return {}
    return {
        "num_images": rule.get("num_images"),
        "temperature": text.number(rule.get("temperature"), 2),
        "set_coverage": text.promised_percent(rule["set_coverage"]),
        "class_conditional": bool(rule.get("class_conditional")),
        "max_risk": text.promised_percent(rule["max_risk"]),
        "confidence": text.promised_percent(1 - rule["delta"]),
        "min_confidence": text.percent(rule.get("min_confidence")) if rule.get("min_confidence") is not None else "",
    }


def _describe_classes(sets: Mapping[str, Any], selection: Mapping[str, Any]) -> list[dict[str, Any]]:
    accepted = selection.get("per_class") or {}
    return [
        {
            "name": name,
            "coverage": _share(found.get("coverage")),
            "mean_size": text.number(found.get("mean_size"), 2),
            "accepted": _share((accepted.get(name) or {}).get("accepted")),
        }
        for name, found in (sets.get("per_class") or {}).items()
    ]


def _share(figure: Any) -> dict[str, str]:
    figure = figure if isinstance(figure, dict) else {}
    return {
        "percent": text.percent(figure.get("value")),
        "wilson": text.percent_interval(figure.get("wilson_95")),
        "bootstrap": text.percent_interval(figure.get("bootstrap_95")),
    }


def _score(figure: Any) -> dict[str, str]:
    figure = figure if isinstance(figure, dict) else {}
    return {"number": text.number(figure.get("value")), "bootstrap": text.interval(figure.get("bootstrap_95"))}


def _plot_reliability(bins: list[Mapping[str, Any]]) -> str:
    if not bins:
        return ""
    words = "; ".join(
        f"probability {text.number(row['confidence'], 2)}: {text.percent(row['accuracy'], 0)} of {row['count']} right"
        for row in bins
    )
    return plots.reliability(bins, title="Reliability diagram", description=words)


def _plot_risk_coverage(figures: Mapping[str, Any], selection: Mapping[str, Any]) -> str:
    points = figures.get("risk_coverage") or []
    if not points:
        return ""
    accepted = (selection.get("accepted") or {}).get("value")
    accuracy = (selection.get("accuracy_of_accepted") or {}).get("value")
    chosen = (accepted, 1 - accuracy) if accepted and accuracy is not None else None
    words = f"all images: {text.percent(points[-1][1])} wrong"
    if chosen:
        words = f"{text.percent(chosen[0])} accepted, of which {text.percent(chosen[1])} wrong; {words}"
    return plots.risk_coverage(points, chosen, title="Risk-coverage curve", description=words)
