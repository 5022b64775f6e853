"""Timing of rivals in turn, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def time_interleaved(
    rivals: Mapping[Any, Callable[[], object]], *, repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[Any, float]:
    """Calls every rival once to warm up, then all of them in turn, `repeats` times.

    Args:
        rivals: name -> what to time.
        repeats: number of timed rounds, at least 1.
        clock: answers seconds; `time.process_time` counts the processor's time in this process alone, which other work
            on the machine prolongs much less.

    Returns:
        Name -> median seconds of a call.
    """
    for call in rivals.values():
        call()
    seconds: dict[Any, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, call in rivals.items():
            start = clock()
            call()
            seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
