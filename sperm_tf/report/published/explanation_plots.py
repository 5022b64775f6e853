"""Plot of the audit of the attribution maps: a PNG file that depends on nothing but the metrics."""

from __future__ import annotations

import os
from typing import Any

from sperm_tf.evaluation.attribution.attribution_metrics import METHOD_LABELS, beats_both
from sperm_tf.explain.faithfulness import BASELINES
from sperm_tf.report.published.results_plots import APART, INK, MUTED, OURS, PUBLISHED, save, styled
from sperm_tf.schemas.audits import Attributions, MapMetric

PANELS = {
    "deletion_auc": "Deletion AUC\nlower is better",
    "insertion_auc": "Insertion AUC\nhigher is better",
    "energy_in_head": "Share on the head\nhigher is better",
    "likeness_to_other_maps": "Similarity to other maps\nlower is better",
}


@styled
def explanation_figures(path: str | os.PathLike[str], found: Attributions, *, title: str) -> None:
    """The metrics of every attribution method side by side, with intervals; filled where a method beats both baselines.

    Args:
        path: PNG file to write.
        found: from `sperm_tf.evaluation.attribution.attribution_metrics.describe_explanations`.
        title: what is drawn.
    """
    from matplotlib.figure import Figure

    methods = [name for name in METHOD_LABELS if name in found["methods"]]
    figure = Figure(figsize=(11.0, 1.9 + 0.28 * len(methods)), layout="constrained")
    axes = figure.subplots(1, len(PANELS), sharey=True)
    for panel, (name, heading) in zip(axes, PANELS.items(), strict=True):
        for position, method in enumerate(methods):
            cell = found["methods"][method].get(name)
            if cell and cell["value"] is not None:
                _draw_cell(panel, position, cell, _colour(method))
        if name == "energy_in_head" and found["mask_area_share"]:
            panel.axvline(found["mask_area_share"]["value"], color=INK, linewidth=1.0, linestyle=":", zorder=1)
        panel.set_title(heading, color=INK, fontsize=9)
        panel.set_ylim(len(methods) - 0.5, -0.5)
        panel.grid(axis="x")
        panel.spines["left"].set_visible(False)
    axes[0].set_yticks(range(len(methods)), [METHOD_LABELS[method] for method in methods])
    axes[0].tick_params(axis="y", labelcolor=INK, pad=6)
    for colour, label in (
        (OURS, "attribution method"),
        (PUBLISHED, "baseline without a network"),
        (APART, "head mask"),
    ):
        axes[0].plot([], [], "o", color=colour, label=label)
    axes[0].plot([], [], "o", color=MUTED, markerfacecolor="white", label="open: does not beat both baselines")
    axes[0].plot([], [], color=INK, linewidth=1.0, linestyle=":", label="uniform map")
    figure.legend(loc="outside lower center", ncols=5, fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=10.5, fontweight="bold")
    save(figure, path)


def _colour(method: str) -> str:
    if method in BASELINES:
        return PUBLISHED
    return APART if method.startswith("head") else OURS


def _draw_cell(panel: Any, position: int, cell: MapMetric, colour: str) -> None:
    if cell["bootstrap_95"]:
        panel.plot(cell["bootstrap_95"], [position] * 2, color=colour, linewidth=4.5, alpha=0.4, solid_capstyle="butt")
    is_filled = "versus" not in cell or beats_both(cell)
    panel.plot([cell["value"]], [position], "o", color=colour, markerfacecolor=colour if is_filled else "white",
               markersize=5.5, clip_on=False, zorder=3)  # fmt: skip
