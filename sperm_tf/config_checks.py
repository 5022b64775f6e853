"""Checks of options, with one form of message, and what more than one kind of option is checked against."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

VIEWS = (1, 8)


def check_choice(name: str, value: Any, choices: Collection[Any]) -> None:
    """Raises ValueError, with what is allowed, unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}. Received: {name}={value!r}.")


def check_range(name: str, value: float, *, low: float, high: float | None = None) -> None:
    """Raises ValueError, with the range, unless low <= value <= high; no `high` means no upper end."""
    if not (value >= low and (high is None or value <= high)):  # so written that NaN fails too
        wanted = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} must be {wanted}. Received: {name}={value!r}.")
