"""Runs workers over many inputs: one that crashes, hangs or fills the memory is recorded, and the next goes on."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import pathlib
import signal
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
        checked: number of inputs.
        outcomes: outcome -> number of inputs, of the workers that came to their end.
        problems: `number`, `name`, `problem` and `content`, hexadecimal, of each input that shows one.
        memory_mb: after a tenth of the inputs, and at the end, of each worker that came to its end.
        seconds: all in all.
    """

    checked: int = 0
    outcomes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    problems: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    memory_mb: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Campaign:
    """Many inputs for a target.

    Attributes:
        target: of `worker.TARGETS`.
        folder: with the models of `models.export`; workers write there.
        seed: of the mutations.
        bounds: of one input.
        minutes: after which it ends, with fewer inputs.
        module: what workers run.
    """

    target: str
    folder: pathlib.Path
    seed: int = 0
    bounds: Bounds = Bounds()
    minutes: float = float("inf")
    module: str = worker.__name__

    def run(self, inputs: int, *, start: int = 0) -> Report:
        """Checks so many inputs, from the one with the number `start` on.

        Raises:
            RuntimeError: the target does not start.
        """
        report, began = Report(), time.time()
        waiting = [(start, start + inputs, 0)]
        while waiting and time.time() < began + 60 * self.minutes:
            first, stop, batch = waiting.pop()
            at, size, stopped = self._work(first, stop, batch, began + 60 * self.minutes, report)
            report.checked += at - first if at >= 0 else 0
            if not stopped:
                continue
            if at == worker.READY:
                raise RuntimeError(f"the target must start. Received: {stopped}")
            behind = min(at + size, stop)
            if size == 1:
                report.checked += 1
                report.problems.append({"number": at, "problem": stopped})
            parts = [(behind, stop, batch), *([(at, behind, 1)] if size > 1 else [])]  # one by one, to tell which it is
            waiting += [part for part in parts if part[0] < part[1]]
        found = self.folder / worker.PROBLEMS
        report.problems += [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]
        found.unlink()
        report.seconds = time.time() - began
        return report

    def _work(self, first: int, stop: int, batch: int, until: float, report: Report) -> tuple[int, int, str]:
        """Runs a worker.

        Returns:
            The number that it was at, and of how many inputs at once; and why it stopped before its end, empty where it
            did not.
        """
        progress, result = self.folder / worker.PROGRESS, self.folder / worker.RESULT
        progress.write_bytes(worker.pack(worker.READY, 0))
        result.unlink(missing_ok=True)
        command = [sys.executable, "-m", self.module, self.target, f"--folder={self.folder}", f"--seed={self.seed}"]
        command += [f"--start={first}", f"--stop={stop}", f"--batch={batch}", f"--until={until}"]
        errors = self.folder / "stderr"
        with errors.open("wb") as stderr:
            process = subprocess.Popen(command, cwd=ROOT, stderr=stderr, start_new_session=True)
            why = _watch(process, progress, self.bounds)
        at, size = worker.unpack(progress.read_bytes())
        if why or process.returncode or not result.is_file():
            tail = errors.read_bytes()[-_TAIL:].decode(errors="replace")
            return at, size, why or f"the process ended with {process.returncode}: {tail}"
        found = json.loads(result.read_text(encoding="utf-8"))
        report.outcomes.update(found["outcomes"])
        report.memory_mb.append(tuple(found["memory_mb"]))
        return at, size, ""


def _watch(process: subprocess.Popen[bytes], progress: pathlib.Path, bounds: Bounds) -> str:
    """Waits for the end, or ends a worker that is beyond its bounds, and says beyond which."""
    last, since = b"", time.monotonic()
    while process.poll() is None:
        time.sleep(_POLL_S)
        now = progress.read_bytes()
        if now != last:
            last, since = now, time.monotonic()
        limit_s = _START_S if now == worker.pack(worker.READY, 0) else bounds.seconds
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
