"""Timing of rivals in turn, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def time_interleaved(rivals: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, float]:
    """Calls every rival once to warm up, then all of them in turn, `repeats` times.

    Args:
        rivals: name -> what to time.
        repeats: number of timed rounds, at least 1.

    Returns:
        Name -> median seconds of a call.
    """
    for call in rivals.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, call in rivals.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
