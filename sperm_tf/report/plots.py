"""Plots of the report: SVG text that goes inline into HTML and takes its colours from the page's style sheet.

Matplotlib draws with placeholder colours, which are then replaced by CSS variables, so that one drawing suits light
and dark screens and paper. The output depends on nothing but the data: no dates, no random identifiers.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sperm_tf.schemas.metrics import ReliabilityBin

# Placeholder colour -> CSS variable. The values only have to be unusual, so that nothing else is replaced.
INK, MUTED, GRID, FIRST, SECOND, SURFACE = "#010203", "#020304", "#030405", "#040506", "#050607", "#060708"
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", FIRST: "first", SECOND: "second", SURFACE: "surface"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # real text: it can be searched, selected and read aloud
    "svg.hashsalt": "sperm_tf",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


def styled(plot: Callable[..., str]) -> Callable[..., str]:
    """Draws with `_STYLE`, and leaves Matplotlib's settings as they were."""

    @functools.wraps(plot)
    def draw(*args: Any, **kwargs: Any) -> str:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return plot(*args, **kwargs)

    return draw


@styled
def training_curve(
    values: Mapping[str, Sequence[float | None]],
    *,
    title: str,
    description: str,
    phases: Sequence[str] = (),
    best_epoch: int | None = None,
) -> str:
    """One quantity over the epochs, for training and validation images.

    Args:
        values: `training` and `validation`, one value an epoch; either may be missing, and None leaves a gap.
        title: what is drawn, such as `Loss`.
        description: the drawing in words, for people who do not see it.
        phases: name of the training phase of each epoch; a line marks where it changes.
        best_epoch: number, from 1, of the epoch whose weights were kept.

    Returns:
        An `<svg>` element.
    """
    figure, axes = new_figure(4.7, 3.0)
    for (name, series), colour, dash in zip(
        ((key, values[key]) for key in ("training", "validation") if values.get(key)),
        (FIRST, SECOND) if values.get("training") else (SECOND,),
        ("--", "-") if values.get("training") else ("-",),
        strict=False,
    ):
        numbers = [float("nan") if value is None else value for value in series]
        epochs = range(1, len(numbers) + 1)
        axes.plot(epochs, numbers, color=colour, linestyle=dash, label=name, marker="." if len(numbers) < 3 else None)
        if name == "validation" and best_epoch and best_epoch <= len(numbers):
            axes.plot([best_epoch], [numbers[best_epoch - 1]], "o", color=colour, markersize=6)
            axes.axvline(best_epoch, color=MUTED, linewidth=0.8, linestyle=":")
            is_early = best_epoch <= len(numbers) / 2
            axes.annotate(f"kept: {best_epoch}", (best_epoch, 0.02), xycoords=axes.get_xaxis_transform(),
                          xytext=(4 if is_early else -4, 0), textcoords="offset points",
                          ha="left" if is_early else "right", color=MUTED, fontsize=8)  # fmt: skip
    for change in [index for index in range(1, len(phases)) if phases[index] != phases[index - 1]]:
        axes.axvline(change + 0.5, color=INK, linewidth=1.0)
        for offset, index, side in ((-4, change - 1, "right"), (4, change, "left")):
            axes.annotate(phases[index], (change + 0.5, 1.01), xycoords=axes.get_xaxis_transform(),
                          xytext=(offset, 0), textcoords="offset points", ha=side, color=INK, fontsize=8)  # fmt: skip
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch")
    axes.set_title(title, loc="left", color=INK, fontsize=10.5, fontweight="bold", pad=15)
    axes.legend(loc="best")
    return to_svg(figure, title, description)


@styled
def intervals(rows: Sequence[Mapping[str, Any]], *, title: str, description: str, lowest: float | None = None) -> str:
    """Values with their intervals, one a line.

    Args:
        rows: dictionaries with `label`, `value`, `low`, `high` (0-1); `low` and `high` may be None. A row may have
            `colour`: `first` or `second`.
        title: what is drawn.
        description: the drawing in words.
        lowest: left end of the axis, 0-1; by default a round number below every interval.

    Returns:
        An `<svg>` element.
    """
    figure, axes = new_figure(5.0, 0.7 + 0.27 * len(rows))
    ends = [row["value"] if row["low"] is None else row["low"] for row in rows]
    if lowest is None:
        lowest = max(0.0, int((min(ends, default=0.0) - 0.03) * 10) / 10)
    for position, row in enumerate(rows):
        colour = SECOND if row.get("colour") == "second" else FIRST
        if row["low"] is not None and row["high"] is not None:
            axes.plot([row["low"], row["high"]], [position, position], color=colour, linewidth=3.2, alpha=0.45,
                      solid_capstyle="round")  # fmt: skip
        axes.plot([row["value"]], [position], "o", color=colour, markersize=6.5, clip_on=False, zorder=3)
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    axes.tick_params(axis="y", labelcolor=INK, pad=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(lowest, 1.005)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_title(title, loc="left", color=INK, fontsize=10.5, fontweight="bold")
    return to_svg(figure, title, description)


@styled
def probability_histogram(right: Sequence[float], wrong: Sequence[float], *, title: str, description: str) -> str:
    """Histogram of the probability of the predicted class, right and wrong predictions apart.

    Args:
        right: probability, 0-1, of the predicted class of every image that was classified correctly.
        wrong: the same for those that were not.
        title: what is drawn; not written into the drawing.
        description: the drawing in words.

    Returns:
        An `<svg>` element.
    """
    figure, axes = new_figure(5.0, 2.6)
    edges = [index / 20 for index in range(21)]
    axes.hist([wrong, right], bins=edges, stacked=True, color=[SECOND, FIRST], edgecolor=SURFACE, linewidth=0.8,
              label=[f"wrong ({len(wrong)})", f"right ({len(right)})"])  # fmt: skip
    lowest = min([*right, *wrong], default=0.0)
    axes.set_xlim(int(lowest * 10) / 10, 1.0)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("probability of the predicted class")
    axes.set_ylabel("images")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, reverse=True, borderpad=0)
    return to_svg(figure, title, description)


@styled
def reliability(bins: Sequence[ReliabilityBin], *, title: str, description: str) -> str:
    """Reliability diagram: accuracy against the probability of the predicted class.

    Args:
        bins: dictionaries with `confidence` and `accuracy` (0-1) and `count`.
        title: what is drawn.
        description: the drawing in words.

    Returns:
        An `<svg>` element.
    """
    figure, axes = new_figure(4.2, 3.6)
    draw_reliability(axes, bins, colour=FIRST)
    axes.set_title(title, loc="left", color=INK, fontsize=10.5, fontweight="bold")
    return to_svg(figure, title, description)


@styled
def risk_coverage(
    points: Sequence[Sequence[float]], chosen: tuple[float, float] | None, *, title: str, description: str
) -> str:
    """Risk-coverage curve: share of wrong predictions among the accepted ones, for every share accepted.

    Args:
        points: pairs of coverage and risk, 0-1, by rising coverage.
        chosen: the pair at which the model works; None where it accepts nothing.
        title: what is drawn.
        description: the drawing in words.

    Returns:
        An `<svg>` element.
    """
    figure, axes = new_figure(5.0, 2.8)
    draw_risk_coverage(axes, points, chosen, colour=FIRST, chosen_colour=SECOND)
    axes.set_title(title, loc="left", color=INK, fontsize=10.5, fontweight="bold")
    return to_svg(figure, title, description)


def draw_reliability(axes: Any, bins: Sequence[ReliabilityBin], *, colour: str) -> None:
    """Points of `reliability` on any axes; their area is the number of images."""
    most = max(row["count"] for row in bins)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle="--", label="perfectly calibrated")
    axes.scatter(
        [row["confidence"] for row in bins],
        [row["accuracy"] for row in bins],
        s=[12 + 160 * row["count"] / most for row in bins],
        color=colour,
        alpha=0.75,
        linewidths=0,
        zorder=3,
        clip_on=False,
    )
    axes.set_xlim(max(0.0, int(min(row["confidence"] for row in bins) * 10) / 10), 1.0)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("probability of the predicted class")
    axes.set_ylabel("accuracy")
    axes.legend(loc="lower right")


def draw_risk_coverage(
    axes: Any,
    points: Sequence[Sequence[float]],
    chosen: tuple[float, float] | None,
    *,
    colour: str,
    chosen_colour: str,
) -> None:
    """The curve of `risk_coverage` on any axes."""
    axes.plot([point[0] for point in points], [point[1] for point in points], color=colour)
    if chosen:
        axes.plot([chosen[0]], [chosen[1]], "o", color=chosen_colour, markersize=7, clip_on=False, zorder=3)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, max(0.05, 1.1 * max(point[1] for point in points)))
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_xlabel("coverage: share accepted")
    axes.set_ylabel("risk: share wrong")


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """An empty plot, width and height in inches, that no display or global state knows about."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def to_svg(figure: Any, title: str, description: str) -> str:
    """Inline SVG: with a description, without what only a file of its own needs, identifiers unlike any other's."""
    from markupsafe import escape

    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)  # Matplotlib repeats every text in a comment
    prefix = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = re.sub(r"font-family: [^;]*; ", "", svg)  # the page's font
    head = f'<svg role="img" aria-label="{escape(title)}: {escape(description)}" class="plot"'
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg", head, 1)
