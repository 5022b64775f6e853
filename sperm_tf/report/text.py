"""How numbers are written in the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

NOTHING = "–"


def number(value: Any, digits: int = 3) -> str:
    """`0.873`; a dash for what is undefined."""
    return f"{value:.{digits}f}" if is_finite(value) else NOTHING


def percent(value: Any, digits: int = 1) -> str:
    """`87.3 %` of a share, 0-1, in one piece; a dash for what is undefined.

    What is not quite none or all of it is not rounded to that: `<0.1 %`, `>99.9 %`.
    """
    if not is_finite(value):
        return NOTHING
    least = 10.0**-digits
    if 0 < 100 * value < least / 2:
        return f"<{least:.{digits}f}\u00a0%"
    if 100 - least / 2 < 100 * value < 100:
        return f">{100 - least:.{digits}f}\u00a0%"
    return f"{100 * value:.{digits}f}\u00a0%"


def promised_percent(value: float) -> str:
    """`2.5 %` of a share, 0-1, with all its digits: a guarantee is not rounded."""
    return f"{100 * value:.6g}\u00a0%"


def interval(bounds: Any, digits: int = 2) -> str:
    """`0.84–0.90`; empty when there is no interval."""
    return f"{bounds[0]:.{digits}f}–{bounds[1]:.{digits}f}" if is_interval(bounds) else ""


def percent_interval(bounds: Any) -> str:
    """`84.1–90.0 %` of two shares; empty when there is no interval."""
    return f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}\u00a0%" if is_interval(bounds) else ""


def count(value: Any) -> str:
    """`12,345`; a dash for what is not known."""
    return f"{value:,}" if isinstance(value, int) else NOTHING


def plural(value: int, singular: str, several: str = "") -> str:
    """`1 image`, `2 images`."""
    return f"{count(value)} {singular if value == 1 else several or singular + 's'}"


def duration(seconds: Any) -> str:
    """`0.4 s`, `41 s`, `3 min 20 s`, `2 h 5 min`."""
    if not is_finite(seconds):
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def listing(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def is_finite(value: Any) -> bool:
    """Whether a value read from JSON is a number that can be shown."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_interval(bounds: Any) -> bool:
    """Whether a value read from JSON is `[lower, upper]`."""
    return isinstance(bounds, (list, tuple)) and len(bounds) == 2 and all(map(is_finite, bounds))
