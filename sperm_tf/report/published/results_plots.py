"""Plots of the results page: small PNG files that depend on nothing but the metrics."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

OURS, PUBLISHED, APART, INK, MUTED, GRID = "#1f5f99", "#6b7280", "#b45309", "#1f2328", "#57606a", "#d8dee4"
_DPI = 110
_DASHES = (0, (3, 2))
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}


def styled(plot: Callable[..., None]) -> Callable[..., None]:
    """Draws with this page's style, and leaves Matplotlib's settings as they were."""

    @functools.wraps(plot)
    def draw(*args: Any, **kwargs: Any) -> None:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            plot(*args, **kwargs)

    return draw


@styled
def accuracies(
    path: str | os.PathLike[str],
    groups: Sequence[tuple[str, Sequence[Mapping[str, Any]]]],
    *,
    title: str,
    targets: Sequence[float] = (),
) -> None:
    """Accuracies with intervals, one a line, in groups with a heading.

    Args:
        path: PNG file to write.
        groups: heading and rows. A row has `label`, `value`, and `interval` ([lower, upper] or None) and `sd` (or
            None); shares, 0-1. The first group is drawn as our own, the last one of three as set apart.
        title: what is drawn.
        targets: accuracies, 0-1, that a dotted line marks.
    """
    num_lines = sum(len(rows) + 1 for _, rows in groups)
    figure, axes = _new_figure(8.0, 1.35 + 0.25 * num_lines)
    position, ticks, ends = 0.0, [], [100 * target for target in targets]
    for (heading, rows), colour in zip(groups, (OURS, PUBLISHED, APART), strict=False):
        axes.annotate(heading, (0, position), xycoords=axes.get_yaxis_transform(), xytext=(4, 0),
                      textcoords="offset points", va="center", color=colour, fontsize=8.5, fontweight="bold",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        for row in rows:
            position += 1
            ends += _draw_row(axes, position, row, colour)
            ticks.append((position, row["label"]))
        position += 1.2
    for index, target in enumerate(targets):
        axes.axvline(100 * target, color=INK, linewidth=1.0, linestyle=":", zorder=1)
        axes.annotate(f"target {100 * target:.1f}", (100 * target, 1), xycoords=axes.get_xaxis_transform(),
                      xytext=(3 if index else -3, 2), textcoords="offset points", ha="left" if index else "right",
                      color=INK, fontsize=8)  # fmt: skip
    axes.set_xlim(5 * ((min(ends) - 1) // 5), min(max(ends) + 1.5, 100.4))
    axes.set_ylim(position - 0.55, -0.6)
    axes.set_yticks([place for place, _ in ticks], [label for _, label in ticks])
    axes.tick_params(axis="y", labelcolor=INK, pad=6)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("accuracy, %")
    axes.plot([], [], color=MUTED, linewidth=4.5, alpha=0.4, label="95 % interval")
    axes.plot([], [], color=MUTED, linewidth=1.2, linestyle=_DASHES, label="± 1 SD, where no interval is published")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    axes.set_title(title, pad=18, color=INK)
    save(figure, path)


@styled
def confusion_matrix(
    path: str | os.PathLike[str],
    counts: Sequence[Sequence[int]],
    class_names: Sequence[str],
    *,
    title: str,
    num_repeats: int,
) -> None:
    """Shares of every true class, with the counts below.

    Args:
        path: PNG file to write.
        counts: [C, C]; rows are true classes.
        class_names: names by label.
        title: what is drawn.
        num_repeats: over how many repeats the counts are summed.
    """
    size = len(class_names)
    figure, axes = _new_figure(1.9 + 0.95 * size, 1.35 + 0.72 * size)
    shares = [[100 * count / max(sum(row), 1) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=115, aspect="auto")
    for row in range(size):
        for column in range(size):
            colour = "white" if shares[row][column] > 62 else INK
            axes.text(column, row - 0.09, f"{shares[row][column]:.1f} %", ha="center", va="center", color=colour,
                      fontweight="bold" if row == column else "normal")  # fmt: skip
            axes.text(column, row + 0.24, f"{counts[row][column]:,}", ha="center", va="center", color=colour,
                      fontsize=7.5)  # fmt: skip
    axes.set_xticks(range(size), class_names)
    axes.set_yticks(range(size), class_names)
    axes.tick_params(labelcolor=INK)
    axes.set_xticks([edge - 0.5 for edge in range(1, size)], minor=True)
    axes.set_yticks([edge - 0.5 for edge in range(1, size)], minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    times = "one repeat" if num_repeats == 1 else f"{num_repeats} repeats"
    axes.set_xlabel(f"predicted class\n\n% of the true class; below, predictions in {times}")
    axes.set_ylabel("true class")
    axes.set_title(title, color=INK)
    save(figure, path)


@styled
def reliability(path: str | os.PathLike[str], bins: Sequence[Mapping[str, float]], *, title: str) -> None:
    """Reliability diagram: accuracy against confidence, and below how many predictions are that confident.

    Args:
        path: PNG file to write.
        bins: dictionaries with `count`, `confidence` and `accuracy`, as from `calibration.reliability`.
        title: what is drawn.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.9, 5.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    confidence = [100 * item["confidence"] for item in bins]
    accuracy = [100 * item["accuracy"] for item in bins]
    total = sum(item["count"] for item in bins)
    lowest = 10 * (min(confidence, default=0) // 10)
    upper.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle="--", label="perfectly calibrated")
    upper.vlines(confidence, confidence, accuracy, color=APART, linewidth=1.5, alpha=0.7, label="gap")
    areas = [18 + 260 * item["count"] / max(total, 1) for item in bins]
    upper.scatter(confidence, accuracy, s=areas, color=OURS, edgecolor="white", linewidth=0.6, zorder=3)
    upper.set(xlim=(lowest, 101), ylim=(-3, 103), ylabel="accuracy, %")
    upper.legend(loc="lower right", fontsize=8, title="above the line: underconfident\nbelow it: overconfident",
                 title_fontsize=8, alignment="left", frameon=True, framealpha=0.9, edgecolor="white")  # fmt: skip
    upper.grid()
    upper.set_title(title, color=INK)
    lower.bar(confidence, [100 * item["count"] / max(total, 1) for item in bins], width=4.2, color=OURS)
    lower.set_xlabel("probability of the predicted class, mean of the bin, %")
    lower.set_ylabel("predictions, %")
    lower.grid(axis="y")
    save(figure, path)


def _draw_row(axes: Any, position: float, row: Mapping[str, Any], colour: str) -> tuple[float, float]:
    """Draws one value, and writes it out at the right; returns the ends of what was drawn, in percent."""
    value = 100 * row["value"]
    low = high = value
    spread = ""
    if row["interval"] is not None:
        low, high = (100 * bound for bound in row["interval"])
        spread = f" [{low:.1f}, {high:.1f}]"
        axes.plot([low, high], [position] * 2, color=colour, linewidth=4.5, alpha=0.4, solid_capstyle="round")
    elif row["sd"] is not None:
        low, high = value - 100 * row["sd"], value + 100 * row["sd"]
        spread = f" ± {100 * row['sd']:.1f}"
        axes.plot([low, high], [position] * 2, color=colour, linewidth=1.2, linestyle=_DASHES)
    axes.plot([value], [position], "o", color=colour, markersize=6, zorder=3)
    axes.annotate(f"{value:.1f}{spread}", (1, position), xycoords=axes.get_yaxis_transform(), xytext=(8, 0),
                  textcoords="offset points", va="center", color=INK, fontsize=8.5)  # fmt: skip
    return low, high


def _new_figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Writes a PNG that holds nothing but the picture, so that equal metrics give equal bytes."""
    figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})
