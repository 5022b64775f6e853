"""Corruptions on the trust page: small multiples, and the rows of two tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.report import text
from sperm_tf.report.published.results_plots import APART, INK, MUTED, OURS, PUBLISHED, save, styled
from sperm_tf.report.published.results_tables import bounds_of, with_bounds
from sperm_tf.schemas.audits import Robustness

NAMES = {
    "poisson_noise": "Poisson noise",
    "gaussian_noise": "Gaussian noise",
    "speckle": "Speckle",
    "defocus": "Defocus",
    "motion_blur": "Motion blur",
    "jpeg": "JPEG compression",
    "down_sampling": "Down-sampling",
    "brightness": "Brightness",
    "contrast": "Contrast reduction",
    "stain_shift": "Stain shift",
    "white_balance": "White balance",
    "vignette": "Vignette",
    "debris": "Debris",
}
"""Titles of the corruptions of `sperm_tf.evaluation.robustness.corruptions`."""
HEADER = (
    *("Corruption", "Accuracy, %: mild", "medium", "severe", "Accepted, %: mild", "medium", "severe"),
    *("Accuracy of the accepted, %", "Accepted and wrong, %", "Coverage of the sets, %", "OOD, severe, %"),
)
"""Of the table that `table_rows` makes."""
SIDE_BY_SIDE_HEADER = (
    *("Model", "Accuracy, clean, %", "Poisson noise: 1", "2", "3", "4", "5"),
    *("ECE, clean", "ECE, severe: least–most", "Coverage of the sets, severe: least–most, %"),
)
"""Of the table that `side_by_side_rows` makes."""
_SHOWN = (1, 3, 5)
_CURVES = (
    ("accuracy", "accuracy", OURS, "-"),
    ("accepted", "share accepted", APART, "-"),
    ("coverage", "coverage of the sets", PUBLISHED, "--"),
)
_COLUMNS = 5


@styled
def plot_robustness(
    path: str | os.PathLike[str], figures: Robustness, *, title: str, set_coverage: float | None = None
) -> None:
    """Accuracy, share of accepted predictions and coverage of sets against severity; one small plot a corruption.

    Args:
        path: PNG file to write.
        figures: of `sperm_tf.evaluation.robustness.corruption_metrics.describe_robustness`. Bands are its intervals.
        title: what is drawn.
        set_coverage: share of sets, 0-1, that is guaranteed to hold the true class; a dotted line marks it.
    """
    from matplotlib.figure import Figure

    names = [row["corruption"] for row in figures["corruptions"]]
    num_rows = -(-(len(names) + 1) // _COLUMNS)  # one place is left for the legend
    figure = Figure(figsize=(9.4, 0.7 + 1.75 * num_rows), layout="constrained")
    grid = figure.subplots(num_rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    places = grid.ravel()
    for axes, name in zip(places, names, strict=False):
        _draw_corruption(axes, [figures["severities"][0], *_severities(figures, name)])
        if set_coverage is not None:
            axes.axhline(100 * set_coverage, color=MUTED, linewidth=0.9, linestyle=":")
        axes.set_title(NAMES.get(name, name), color=INK, fontsize=9)
    for axes in places[len(names) :]:
        axes.set_axis_off()
    for column in range(_COLUMNS):  # the lowest plot of a column carries the labels, wherever it is
        lowest = max(row for row in range(num_rows) if row * _COLUMNS + column < len(names) or row == 0)
        grid[lowest, column].tick_params(labelbottom=True)
        grid[lowest, column].set_xlabel("severity", fontsize=8.5)
    figure.supylabel("%", color=MUTED, fontsize=9)
    handles, labels = places[0].get_legend_handles_labels()
    if set_coverage is not None:
        handles.append(places[0].lines[-1])
        labels.append("guaranteed coverage")
    legend = places[len(names)].legend(handles, labels, loc="center left", fontsize=8.5, borderaxespad=0)
    legend.set_in_layout(False)  # wider than its place: it would push the columns apart
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=10.5, fontweight="bold")
    save(figure, path)


def table_rows(figures: Mapping[str, Any]) -> list[list[str]]:
    """Rows under `HEADER`: the clean images, then every corruption, the most harmful first; percents.

    Mild, medium and severe are the severities 1, 3 and 5, for which accuracy and accepted share are given; the three
    figures after them are of all five severities together. Accuracies have their intervals.

    Args:
        figures: of `sperm_tf.evaluation.robustness.corruption_metrics.describe_robustness`.
    """
    clean = figures["severities"][0]
    rows = [["None (clean)", *_spread(clean), *_together(clean), _percent(clean["unfamiliar"])]]
    for whole in sorted(figures["corruptions"], key=lambda row: row["accuracy"]["value"]):
        by_severity = {row["severity"]: row for row in _severities(figures, whole["corruption"])}
        shown = [by_severity[severity] for severity in _SHOWN]
        rows.append(
            [
                NAMES.get(whole["corruption"], whole["corruption"]),
                *(_percent(row["accuracy"], bounds=True) for row in shown),
                *(_percent(row["accepted"]) for row in shown),
                *_together(whole),
                _percent(shown[-1]["unfamiliar"]),
            ]
        )
    return rows


def side_by_side_rows(by_model: Mapping[str, Any]) -> list[list[str]]:
    """Rows under `SIDE_BY_SIDE_HEADER`: each model's accuracy under Poisson noise, its calibration and its sets.

    Accuracies and the clean images' ECE have their intervals; *severe* is the range over all corruptions at severity 5.

    Args:
        by_model: model -> figures of `sperm_tf.evaluation.robustness.corruption_metrics.describe_robustness`.
    """
    rows = []
    for model, figures in by_model.items():
        clean, *corrupted = figures["severities"]
        severe = [row for row in corrupted if row["severity"] == _SHOWN[-1]]
        errors, shares = ([row[name]["value"] for row in severe] for name in ("ece", "coverage"))
        noisy = [clean, *_severities(figures, "poisson_noise")]
        rows.append(
            [
                f"`{model}`",
                *(_percent(row["accuracy"], bounds=True) for row in noisy),
                with_bounds(clean["ece"]),
                f"{min(errors):.2f}–{max(errors):.2f}",
                f"{100 * min(shares):.0f}–{100 * max(shares):.0f}",
            ]
        )
    return rows


def _draw_corruption(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    severities = [row["severity"] for row in rows]
    for name, label, colour, dash in _CURVES:
        values = [100 * row[name]["value"] for row in rows]
        bounds = [bounds_of(row[name]) or [row[name]["value"]] * 2 for row in rows]
        lower, upper = ([100 * bound[side] for bound in bounds] for side in (0, 1))
        axes.fill_between(severities, lower, upper, color=colour, alpha=0.13, linewidth=0)
        axes.plot(
            severities, values, color=colour, linestyle=dash, linewidth=1.6, marker="o", markersize=2.6, label=label
        )
    axes.set_xlim(-0.2, 5.2)
    axes.set_ylim(-3, 103)
    axes.set_xticks(range(6), ["clean", *"12345"])
    axes.set_yticks(range(0, 101, 25))
    axes.tick_params(labelsize=7.5)
    axes.grid()


def _severities(figures: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [row for row in figures["severities"] if row["corruption"] == name]


def _spread(clean: Mapping[str, Any]) -> list[str]:
    """The clean images have no severities: their metrics stand in the first of the three places."""
    nothing = [text.NOTHING] * 2
    return [_percent(clean["accuracy"], bounds=True), *nothing, _percent(clean["accepted"]), *nothing]


def _together(row: Mapping[str, Any]) -> list[str]:
    return [_percent(row[name]) for name in ("accuracy_of_accepted", "accepted_wrong", "coverage")]


def _percent(figure: Mapping[str, Any], *, bounds: bool = False) -> str:
    if figure["value"] is None:
        return text.NOTHING
    interval = bounds_of(figure) if bounds else None
    return f"{100 * figure['value']:.0f}" + (f" [{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]" if interval else "")
