"""Figures of an audit with corruptions."""

from sperm_tf.evaluation.robustness.corruption_metrics import FIGURES
from sperm_tf.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES


def cell(value, **names):
    figure = {"value": value, "bootstrap_95": [value - 0.05, value + 0.05], "wilson_95": [value - 0.1, value]}
    return {**names, "num_answers": 60, **dict.fromkeys(FIGURES, figure)}


def robustness_figures():
    """Figures whose values are known."""
    kinds = list(CORRUPTIONS)
    clean = cell(0.9, corruption="clean", severity=0)
    clean["accuracy"] = {"value": 1.0, "bootstrap_95": [1.0, 1.0], "wilson_95": [0.94, 1.0]}
    return {
        "num_images": 60,
        "severities": [
            clean,
            *(
                cell(0.8 - 0.1 * s - 0.01 * k, corruption=n, severity=s)
                for k, n in enumerate(kinds)
                for s in SEVERITIES
            ),
        ],
        "corruptions": [cell(0.5 - 0.01 * k, corruption=n) for k, n in enumerate(kinds)],
        "quality_bins": [],
    }
