"""Reads what TFMA decided, check by check."""

from __future__ import annotations

import os
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from sperm_tf.evaluation.tfma import analysis


def load_overall(eval_result: str | os.PathLike[str], model_name: str = "") -> dict[str, float]:
    """Metrics of the whole split without a sub-key: `accuracy`, `macro_f1`, `macro_auc`, `example_count`.

    Args:
        eval_result: TFMA's output directory.
        model_name: `candidate` or `baseline` where two models were compared; empty for one model.
    """
    with analysis.quiet():
        result = tfma.load_eval_result(str(eval_result), model_name=model_name or None)
    figures = dict(result.slicing_metrics)[()][""][""]
    values = {name: figure.get("doubleValue") for name, figure in figures.items()}
    return {name: value for name, value in values.items() if value is not None}


def read_checks(eval_result: str | os.PathLike[str], eval_config: config_pb2.EvalConfig) -> dict[str, Any]:
    """TFMA's verdict and what it rests on.

    Args:
        eval_result: TFMA's output directory.
        eval_config: that it was computed with.

    Returns:
        `blessed` (TFMA's own verdict) and `checks`, one for each condition above zero: `metric`, `kind`
        (`minimum` or `change from baseline`), `value`, `threshold`, `passed`; a change also has `baseline_value`.
    """
    with analysis.quiet():
        verdict = tfma.load_validation_result(str(eval_result))
    failed = {
        (failure.metric_key.name, failure.metric_key.is_diff)
        for validation in verdict.metric_validations_per_slice
        for failure in validation.failures
    }
    compared = len(eval_config.model_specs) > 1
    figures = load_overall(eval_result, analysis.CANDIDATE if compared else "")
    baseline = load_overall(eval_result, analysis.BASELINE) if compared else {}
    checks: list[dict[str, Any]] = []
    for name, thresholds in sorted(eval_config.metrics_specs[0].per_slice_thresholds.items()):
        threshold = thresholds.thresholds[0].threshold
        minimum = threshold.value_threshold.lower_bound.value
        if minimum > 0:  # TFMA blesses nothing without a threshold, so 0 stands there for none
            checks.append(
                {
                    "metric": name,
                    "kind": "minimum",
                    "value": figures[name],
                    "threshold": minimum,
                    "passed": (name, False) not in failed,
                }
            )
        if threshold.HasField("change_threshold"):
            checks.append(
                {
                    "metric": name,
                    "kind": "change from baseline",
                    "value": figures[name] - baseline[name],
                    "baseline_value": baseline[name],
                    "threshold": round(threshold.change_threshold.absolute.value, 6),
                    "passed": (name, True) not in failed,
                }
            )
    return {"blessed": bool(verdict.validation_ok), "checks": checks}
