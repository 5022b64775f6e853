"""How a probability is written, wherever a person reads one."""

from __future__ import annotations

import math

_NEARLY_CERTAIN, _NEARLY_IMPOSSIBLE = 0.99, 0.01


def write_probability(value: float | None) -> str:
    """`87 %`; never `100 %` or `0 %`, which no model can know; a dash for what is undefined."""
    if value is None or not math.isfinite(value):
        return "–"
    if value > _NEARLY_CERTAIN:
        return f"over {100 * _NEARLY_CERTAIN:.0f}\u00a0%"
    if value < _NEARLY_IMPOSSIBLE:
        return f"under {100 * _NEARLY_IMPOSSIBLE:.0f}\u00a0%"
    return f"{100 * value:.0f}\u00a0%"
