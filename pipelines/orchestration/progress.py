"""How far a stage is: `340 of 600 images · 12 s left`, one line that is written over on a terminal, a few in a log.

A stage says what it counts with `expect` and counts with `advance`, from any thread of its process. What Beam's workers
do in other processes is not counted: then the line says how long the stage has been working.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Iterator

from sperm_tf.report import text

_PERIOD_S = 1.0
_LOG_PERIOD_S = 15.0  # between two lines of a log


@dataclasses.dataclass
class _Count:
    """Of the work that is going on."""

    unit: str = ""
    total: int = 0
    done: int = 0
    since: float = dataclasses.field(default_factory=time.monotonic)


_current: _Count | None = None
_lock = threading.Lock()


@contextlib.contextmanager
def shown(title: str) -> Iterator[None]:
    """Shows on stderr how far the work is that goes on inside.

    Args:
        title: what works, such as the name of a stage.
    """
    global _current
    outer, _current = _current, _Count()
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(title, time.monotonic(), done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _current = outer


def expect(total: int, unit: str) -> None:
    """Begins to count.

    Args:
        total: how many there are.
        unit: what is counted, in the plural.
    """
    global _current
    if _current is not None:
        _current = _Count(unit, total)


def advance(count: int = 1) -> None:
    """So many more are done."""
    with _lock:
        if _current is not None:
            _current.done += count


def describe(done: int, total: int, unit: str, seconds: float) -> str:
    """`340 of 600 images · 12 s left`; without the time left while nothing is done.

    Args:
        done: how many are done.
        total: of how many.
        unit: what is counted, in the plural.
        seconds: that it took.
    """
    line = f"{done:,} of {total:,} {unit}"
    return f"{line} · {text.duration((total - done) * seconds / done)} left" if done else line


def _watch(title: str, start: float, done: threading.Event) -> None:
    is_terminal = sys.stderr.isatty()
    reported = start
    while not done.wait(_PERIOD_S):
        now, count = time.monotonic(), _current
        if count is None or (not is_terminal and now - reported < _LOG_PERIOD_S):
            continue
        reported = now
        if 0 < count.done < count.total:
            line = describe(count.done, count.total, count.unit, now - count.since)
        else:
            line = f"working for {text.duration(now - start)}"
        before, end = ("\r\x1b[K", "") if is_terminal else ("", "\n")
        print(f"{before}{title}: {line}", end=end, file=sys.stderr, flush=True)
    if is_terminal:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
