"""What scoring does, and how far it is: one line that is written over on a terminal, a few lines in a log."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.bulk_inference.output import ScoreFolder, shard_sizes
from sperm_tf.report import text

_PERIOD_S = 1.0
_LOG_SHARE = 0.1  # of the files, between two lines of a log
_LOG_PERIOD_S = 20.0  # the longest that a log is silent


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Says on stderr what is done now, and for how long already, until it is done.

    Args:
        what: such as `Preparing the SavedModel of smids`.
    """
    done = threading.Event()
    thread = threading.Thread(target=_count_seconds, args=(what, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _count_seconds(what: str, done: threading.Event) -> None:
    start = time.monotonic()
    is_terminal = sys.stderr.isatty()
    _say(what, is_terminal, is_last=not is_terminal)
    while not done.wait(_PERIOD_S if is_terminal else _LOG_PERIOD_S):
        _say(f"{what} · {text.duration(time.monotonic() - start)}", is_terminal, is_last=not is_terminal)
    if is_terminal:
        _say(f"{what} · {text.duration(time.monotonic() - start)}", is_terminal, is_last=True)


def _say(line: str, is_terminal: bool, *, is_last: bool) -> None:
    start = "\r\x1b[K" if is_terminal else ""
    print(f"{start}{line}", end="\n" if is_last else "", file=sys.stderr, flush=True)


@contextlib.contextmanager
def shown(folder: ScoreFolder, record: dict[str, Any], missing: Sequence[int]) -> Iterator[None]:
    """Shows on stderr how many files are scored, from what the workers leave in the folder.

    Args:
        folder: where they work.
        record: of the run.
        missing: numbers of the shards that they work on.
    """
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(folder, record, missing, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def describe(scored: int, total: int, scored_now: int, seconds: float) -> str:
    """`1,200 of 10,000 files · 55/s · 2 min 40 s left`.

    Args:
        scored: files, those of earlier runs included.
        total: all files.
        scored_now: files of this run.
        seconds: that it took.
    """
    line = f"{scored:,} of {total:,} files"
    if not scored_now:
        return line
    rate = scored_now / seconds
    return f"{line} · {rate:,.3g}/s · {text.duration((total - scored) / rate)} left"


def _watch(folder: ScoreFolder, record: dict[str, Any], missing: Sequence[int], done: threading.Event) -> None:
    sizes = shard_sizes(record)
    total = record["num_files"]
    before = total - sum(sizes[number] for number in missing)
    open_shards = set(missing)
    finished = before
    start, reported, said_at = time.monotonic(), before, time.monotonic()
    is_terminal = sys.stderr.isatty()
    _say(describe(before, total, 0, 0.0), is_terminal, is_last=not is_terminal)
    is_last = False
    while not is_last:
        is_last = done.wait(_PERIOD_S)
        for number in [number for number in open_shards if folder.shards.path(number).is_file()]:
            open_shards.remove(number)
            finished += sizes[number]
        scored = finished + sum(_size(folder.shards.progress_path(number)) for number in open_shards)
        line = describe(scored, total, scored - before, time.monotonic() - start)
        is_due = scored - reported >= _LOG_SHARE * total or time.monotonic() - said_at >= _LOG_PERIOD_S
        if is_terminal:
            _say(line, is_terminal, is_last=is_last)
        elif is_last or is_due:
            reported, said_at = scored, time.monotonic()
            _say(line, is_terminal, is_last=True)


def _size(path: Any) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
