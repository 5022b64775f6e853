"""Plots of the trust page: small PNG files that depend on nothing but the figures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sperm_tf.report.results_plots import APART, MUTED, OURS, save, styled


@styled
def trust(path: str | os.PathLike[str], figures: Mapping[str, Any], *, title: str) -> None:
    """How often answers of a given probability are right, and how much can be accepted at which risk.

    Args:
        path: PNG file to write.
        figures: what `sperm_tf.evaluation.trust.describe_trust` says of one repeat.
        title: what is drawn.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_reliability(left, figures["reliability"])
    _draw_risk_coverage(right, figures["risk_coverage"], figures["selection"])
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    save(figure, path)


def _draw_reliability(axes: Any, bins: list[Mapping[str, float]]) -> None:
    most = max(row["count"] for row in bins)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle="--", label="perfectly calibrated")
    axes.scatter(
        [row["confidence"] for row in bins],
        [row["accuracy"] for row in bins],
        s=[12 + 160 * row["count"] / most for row in bins],
        color=OURS,
        alpha=0.75,
        linewidths=0,
        zorder=3,
        clip_on=False,
    )
    axes.set_xlim(max(0.0, int(min(row["confidence"] for row in bins) * 10) / 10), 1.0)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("calibrated probability of the predicted class (area: images)")
    axes.set_ylabel("share of right answers")
    axes.legend(loc="lower right")


def _draw_risk_coverage(axes: Any, points: list[list[float]], selection: Mapping[str, Any]) -> None:
    axes.plot([point[0] for point in points], [point[1] for point in points], color=OURS)
    accepted, right = selection["accepted"]["value"], selection["accuracy_of_accepted"]["value"]
    if right is not None:
        axes.plot([accepted], [1 - right], "o", color=APART, clip_on=False, zorder=3, label="accepted as served")
        axes.legend(loc="upper left")
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, max(0.05, 1.1 * max(point[1] for point in points)))
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_xlabel("accepted answers, the most probable first")
    axes.set_ylabel("wrong among them")
