"""Metrics as JSON has them: null for what is undefined, since JSON has no NaN."""

from __future__ import annotations

import math
from typing import Any


def number(value: Any) -> float | None:
    """A number; None where it is not finite."""
    return float(value) if math.isfinite(value) else None


def interval(lower: Any, upper: Any) -> list[float] | None:
    """`[lower, upper]`; None where a bound is not finite."""
    return [float(lower), float(upper)] if math.isfinite(lower) and math.isfinite(upper) else None
