"""Runs workers over many inputs: one that crashes, hangs or fills the memory is recorded, and the next goes on."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time
from typing import Any

from benchmarks.fuzz import worker

ROOT = pathlib.Path(__file__).resolve().parents[2]
_START_S = 600  # for imports and models
_POLL_S = 0.2
_TAIL = 2_000  # characters of the standard error


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What one input may need.

    Attributes:
        seconds: for a batch of inputs.
        memory_mb: of the worker, all in all.
    """

    seconds: float = 20.0
    memory_mb: int = 6_000


@dataclasses.dataclass
class Report:
    """What came out.

    Attributes:
        outcomes: outcome -> number of inputs.
        problems: `number`, `name`, `problem` and `content`, hexadecimal, of each input that shows one.
        memory_mb: after a tenth of the inputs, and at the end, of each worker that came to its end.
        seconds: all in all.
    """

    outcomes: collections.Counter[str]
    problems: list[dict[str, Any]]
    memory_mb: list[tuple[int, int]]
    seconds: float


def run(target: str, *, inputs: int, seed: int, folder: pathlib.Path, bounds: Bounds, start: int = 0) -> Report:
    """Fuzzes a target.

    Args:
        target: of `worker.TARGETS`.
        inputs: how many.
        seed: of the mutations.
        folder: with the models of `models.export`; workers write there.
        bounds: of one input.
        start: number of the first input.
    """
    report = Report(collections.Counter(), [], [], 0.0)
    began = time.monotonic()
    waiting = [(start, start + inputs, 0)]
    while waiting:
        first, stop, batch = waiting.pop()
        at, stopped = _work(target, seed, folder, bounds, first, stop, batch, report)
        if not stopped:
            continue
        if at == worker.READY:
            raise RuntimeError(f"the target must start. Received: {stopped}")
        size = batch or worker.TARGETS[target].batch
        behind = min(at + size, stop)
        if size == 1:
            report.outcomes["stopped"] += 1
            report.problems.append({"number": at, "problem": stopped})
        waiting.append((behind, stop, batch))
        if size > 1:
            waiting.append((at, behind, 1))  # one by one, to tell which it is
        waiting = [part for part in waiting if part[0] < part[1]]
    found = folder / worker.PROBLEMS
    if found.is_file():
        report.problems += [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]
        found.unlink()
    report.seconds = time.monotonic() - began
    return report


def _work(target, seed, folder, bounds, first, stop, batch, report) -> tuple[int, str]:
    """Runs a worker; the number that it was at, and why it stopped before its end, empty where it did not."""
    progress, result = folder / worker.PROGRESS, folder / worker.RESULT
    progress.write_bytes(struct.pack("<q", worker.READY))
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.fuzz.worker", target, f"--folder={folder}"]
    command += [f"--seed={seed}", f"--start={first}", f"--stop={stop}", f"--batch={batch}"]
    errors = folder / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=ROOT, stderr=stderr, start_new_session=True)
        why = _watch(process, progress, bounds)
    (at,) = struct.unpack("<q", progress.read_bytes())
    if why or process.returncode or not result.is_file():
        tail = errors.read_bytes()[-_TAIL:].decode(errors="replace")
        report.outcomes["checked before a stop"] += max(0, at - first)
        return at, why or f"the process ended with {process.returncode}: {tail}"
    found = json.loads(result.read_text(encoding="utf-8"))
    report.outcomes.update(found["outcomes"])
    report.memory_mb.append(tuple(found["memory_mb"]))
    return at, ""


def _watch(process: subprocess.Popen[bytes], progress: pathlib.Path, bounds: Bounds) -> str:
    """Waits for the end, or ends a worker that is beyond its bounds, and says beyond which."""
    last, since = b"", time.monotonic()
    while process.poll() is None:
        time.sleep(_POLL_S)
        now = progress.read_bytes()
        if now != last:
            last, since = now, time.monotonic()
        limit_s = _START_S if now == struct.pack("<q", worker.READY) else bounds.seconds
        why = f"more than {limit_s:g} s" if time.monotonic() - since > limit_s else ""
        try:
            memory = worker.memory_mb(process.pid)
        except OSError:  # it ended in this moment
            continue
        if memory > bounds.memory_mb:
            why = f"more than {bounds.memory_mb} MB of memory"
        if why:
            os.killpg(process.pid, signal.SIGKILL)  # with the server that it may have started
            process.wait()
            return why
    return ""
