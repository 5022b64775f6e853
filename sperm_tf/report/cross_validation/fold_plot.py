"""One metric of every model, fold by fold, with its interval: SVG in the style of `sperm_tf.report.plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.report import plots, text

_ROOM = 0.28  # of a line, for the folds of all repeats


@plots.styled
def draw(rows: Sequence[Mapping[str, Any]], *, title: str, description: str) -> str:
    """Draws a line a model: the interval as a bar, the metric as a large dot, and each fold as a small one below.

    Folds of one repeat stand at one height, so that repeats can be told apart.

    Args:
        rows: dictionaries with `label`, `value` (0-1 or None), `interval` ([lower, upper] or None) and `folds`, pairs
            of the repeat's number and the fold's figure (0-1 or None).
        title: what is drawn.
        description: the drawing in words.

    Returns:
        An `<svg>` element.
    """
    figure, axes = plots.new_figure(5.0, 0.85 + 0.55 * len(rows))
    shown: list[float] = []
    for position, row in enumerate(rows):
        num_repeats = max((repeat for repeat, _ in row["folds"]), default=0) + 1
        for repeat, value in row["folds"]:
            if text.is_finite(value):
                height = position + 0.14 + _ROOM * (repeat + 0.5) / num_repeats
                axes.plot([value], [height], "o", color=plots.MUTED, markersize=3.2, alpha=0.75, clip_on=False)
                shown.append(value)
        if text.is_interval(row["interval"]):
            axes.plot(row["interval"], [position - 0.1] * 2, color=plots.FIRST, linewidth=4.5, alpha=0.4,
                      solid_capstyle="round")  # fmt: skip
            shown += row["interval"]
        if text.is_finite(row["value"]):
            axes.plot([row["value"]], [position - 0.1], "o", color=plots.FIRST, markersize=7, zorder=3)
            axes.annotate(text.number(row["value"]), (row["value"], position - 0.1), xytext=(0, 6),
                          textcoords="offset points", ha="center", color=plots.INK, fontsize=8.5)  # fmt: skip
            shown.append(row["value"])
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    axes.tick_params(axis="y", labelcolor=plots.INK, pad=8)
    axes.set_ylim(len(rows) - 0.45, -0.6)
    axes.set_xlim(max(0.0, int(20 * min(shown, default=0.0) - 0.4) / 20), min(1.0, max(shown, default=1.0) + 0.03))
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_title(title, loc="left", color=plots.INK, fontsize=10.5, fontweight="bold")
    return plots.to_svg(figure, title, description)
