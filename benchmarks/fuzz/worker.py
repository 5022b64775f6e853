"""A process that checks a range of inputs, so that a crash of a native library ends it and not the campaign."""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import pathlib
import struct
import time

from benchmarks.fuzz import server_target, targets
from benchmarks.fuzz.inputs import Input, Target
from benchmarks.fuzz.mutations import mutate

TARGETS = {
    "decoder": targets.DecoderTarget,
    "graph": targets.GraphTarget,
    "microscopy": targets.MicroscopyTarget,
    "server": server_target.ServerTarget,
}
PROGRESS, PROBLEMS, RESULT = "progress", "problems.jsonl", "result.json"
READY = -1
"""Progress of a worker that opened its target and began with nothing yet."""


def main() -> None:
    """Checks the inputs from `--start` to `--stop`; the number at work stands in the file `progress`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    for name in ("seed", "start", "stop", "batch"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--until", type=float, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    options = parser.parse_args()
    faulthandler.enable()
    target: Target = TARGETS[options.target](options.folder)
    try:
        _run(target, options)
    finally:
        target.close()


def pack(number: int, size: int) -> bytes:
    """What the file `progress` holds: the number of the first input at work, and how many are at work."""
    return struct.pack("<qq", number, size)


def unpack(content: bytes) -> tuple[int, int]:
    """The reverse of `pack`."""
    number, size = struct.unpack("<qq", content)
    return number, size


def _run(target: Target, options: argparse.Namespace) -> None:
    outcomes: collections.Counter[str] = collections.Counter()
    size = options.batch or target.batch
    memory, at = 0, options.start
    with (
        (options.folder / PROGRESS).open("r+b", buffering=0) as progress,
        (options.folder / PROBLEMS).open("a", encoding="utf-8") as problems,
    ):
        target.check([Input(READY, *next(iter(target.files.items())))])  # what is made at the first use takes longer
        while at < options.stop and time.time() < options.until:
            numbers = range(at, min(at + size, options.stop))
            progress.seek(0)
            progress.write(pack(at, len(numbers)))
            inputs = [Input(number, *mutate(target.files, seed=options.seed, number=number)) for number in numbers]
            for one, (outcome, problem) in zip(inputs, _check(target, inputs), strict=True):
                outcomes[outcome] += 1
                if problem:
                    text = {"number": one.number, "name": one.name, "problem": problem, "content": one.content.hex()}
                    problems.write(json.dumps(text) + "\n")
                    problems.flush()
            at = numbers.stop
            if not memory and at - options.start >= (options.stop - options.start) // 10:
                memory = memory_mb(target.pid)  # when caches are filled
        progress.seek(0)
        progress.write(pack(at, 0))
    result = {"outcomes": outcomes, "memory_mb": [memory, memory_mb(target.pid)]}
    (options.folder / RESULT).write_text(json.dumps(result), encoding="utf-8")


def _check(target: Target, inputs: list[Input]) -> list[tuple[str, str]]:
    try:
        return target.check(inputs)
    except Exception as error:
        if len(inputs) > 1:
            return [outcome for one in inputs for outcome in _check(target, [one])]
        return [("", f"{type(error).__name__}: {error}")]


def memory_mb(pid: int) -> int:
    """Resident memory of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


if __name__ == "__main__":
    main()
