"""Plots of the trust page: small PNG files that depend on nothing but the metrics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sperm_tf.report import plots
from sperm_tf.report.published.results_plots import APART, OURS, save, styled


@styled
def trust(path: str | os.PathLike[str], figures: Mapping[str, Any], *, title: str) -> None:
    """Reliability diagram and risk-coverage curve.

    The dot is what is accepted as served.

    Args:
        path: PNG file to write.
        figures: what `sperm_tf.evaluation.metrics.uncertainty.describe_trust` says of one repeat.
        title: what is drawn.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    accepted = figures["selection"]["accepted"]["value"]
    accuracy = figures["selection"]["accuracy_of_accepted"]["value"]
    served = None if accuracy is None else (accepted, 1 - accuracy)
    plots.draw_reliability(left, figures["reliability"], colour=OURS)
    plots.draw_risk_coverage(right, figures["risk_coverage"], served, colour=OURS, chosen_colour=APART)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    save(figure, path)
