"""How far scoring is: one line that is written over on a terminal, a few lines in a log."""

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
    start, reported = time.monotonic(), before
    is_terminal = sys.stderr.isatty()
    is_last = False
    while not is_last:
        is_last = done.wait(_PERIOD_S)
        for number in [number for number in open_shards if folder.shard_path(number).is_file()]:
            open_shards.remove(number)
            finished += sizes[number]
        scored = finished + sum(_size(folder.progress_path(number)) for number in open_shards)
        line = describe(scored, total, scored - before, time.monotonic() - start)
        if is_terminal:
            print(f"\r\x1b[K{line}", end="\n" if is_last else "", file=sys.stderr, flush=True)
        elif is_last or scored - reported >= _LOG_SHARE * total:
            reported = scored
            print(line, file=sys.stderr, flush=True)


def _size(path: Any) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
