"""The head measures of a slide: their distributions beside the manual's reference ranges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sperm_tf.evaluation.quantification import cells_file
from sperm_tf.fields.scale import ESTIMATED
from sperm_tf.morphometry.reference_ranges import REFERENCE_RANGES, in_range_column
from sperm_tf.report import text

MEASURES = {
    "head_length_um": ("Length", "µm"),
    "head_width_um": ("Width", "µm"),
    "head_area_um2": ("Area", "µm²"),
    "head_perimeter_um": ("Perimeter", "µm"),
    "head_ellipticity": ("Ellipticity, length over width", ""),
    "head_elongation": ("Elongation, (L − W) / (L + W)", ""),
    "head_rugosity": ("Rugosity, 4πA / P²", ""),
    "head_regularity": ("Regularity, πLW / (4A)", ""),
}
"""Measure -> what the report calls it, and its unit."""
_NUM_BINS = 24
_CLIPPED = 0.5  # per cent of the heads at either end that the outermost bins may take in
_MARGIN = 0.05  # of the axis, to both sides
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MAX_TICKS = 5


@dataclasses.dataclass(frozen=True)
class Distribution:
    """The distribution of a measure, as it is drawn; places are shares, 0-1, of the axis, heights of the highest bar.

    Attributes:
        name: of the measure, for people.
        unit: of its values; empty for a ratio.
        bars: left end, right end and height of each bin.
        ticks: place and label.
        band: ends of the reference range; None where the manual has none.
        median: place of the median.
        median_text: the median with its unit.
        centiles_text: 5th and 95th centile.
        manual_text: the reference range, and the share of the heads within it; empty where the manual has none.
    """

    name: str
    unit: str
    bars: tuple[tuple[float, float, float], ...]
    ticks: tuple[tuple[float, str], ...]
    band: tuple[float, float] | None
    median: float
    median_text: str
    centiles_text: str
    manual_text: str

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name


def describe_measures(heads: Any) -> list[Distribution]:
    """The distributions of the measures.

    Args:
        heads: rows of the table of cells: whole heads of spermatozoa.

    Returns:
        One for each of `MEASURES`; none without heads.
    """
    described = []
    for name in MEASURES if len(heads) else ():
        values = heads[name].to_numpy(np.float64)
        column = in_range_column(name)
        compared = heads[column].dropna().to_numpy(bool) if column in heads else np.zeros(0, bool)
        described.append(_describe(name, values[np.isfinite(values)], compared))
    return described


def describe_scale(heads: Any) -> str:
    """What the lengths rest on, in a sentence; empty without heads."""
    if not len(heads):
        return ""
    size = f"{float(heads[cells_file.PIXEL_SIZE].iloc[0]):.4g} µm a pixel"
    if (heads[cells_file.PIXEL_SIZE_SOURCE] == ESTIMATED).any():
        return (
            f"The scale, {size}, is estimated from the heads of this run, taken to be 4.1 µm long in the median: "
            "lengths and areas compare these heads with each other, and not with the manual."
        )
    return f"The scale, {size}, was stated by a person or by the files."


def _describe(name: str, values: np.ndarray, compared: np.ndarray) -> Distribution:
    label, unit = MEASURES[name]
    reference = REFERENCE_RANGES.get(name)
    limits = [reference.low, reference.high] if reference else []
    band = limits if len(compared) else []
    low, high = _find_axis(values, band)
    edges = np.linspace(low, high, _NUM_BINS + 1)
    counts, _ = np.histogram(np.clip(values, low, high), edges)
    places, heights = (edges - low) / (high - low), counts / max(counts.max(), 1)
    p5, p50, p95 = np.percentile(values, [5, 50, 95])
    return Distribution(
        name=label,
        unit=unit,
        bars=tuple(zip(places[:-1].tolist(), places[1:].tolist(), heights.tolist(), strict=True)),
        ticks=_find_ticks(low, high),
        band=((band[0] - low) / (high - low), (band[1] - low) / (high - low)) if band else None,
        median=(p50 - low) / (high - low),
        median_text=f"{p50:.2f} {unit}".strip(),
        centiles_text=text.interval((p5, p95)),
        manual_text=_describe_range(limits, compared) if limits else "",
    )


def _describe_range(limits: Sequence[float], compared: np.ndarray) -> str:
    within = f"{text.percent(compared.mean())} within" if len(compared) else "not compared"
    return f"manual {text.interval(limits, 1)}: {within}"


def _find_axis(values: np.ndarray, limits: Sequence[float]) -> tuple[float, float]:
    ends = [*np.percentile(values, [_CLIPPED, 100 - _CLIPPED]), *limits]
    margin = _MARGIN * (max(ends) - min(ends)) or 0.05 * abs(max(ends)) or 1.0
    return float(min(ends) - margin), float(max(ends) + margin)


def _find_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Round values on the axis, at most `_MAX_TICKS`."""
    power = 10.0 ** math.floor(math.log10((high - low) / _MAX_TICKS))
    step = next(step * power for step in _STEPS if (high - low) / (step * power) <= _MAX_TICKS)
    values = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
    digits = max(0, -math.floor(math.log10(step) + 1e-9) + (1 if round(step / power, 1) == 2.5 else 0))
    return tuple((float((value - low) / (high - low)), f"{value:.{digits}f}") for value in values)
