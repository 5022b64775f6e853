"""Fuzzing by mutation of valid files.

    python -m benchmarks.fuzz decoder --inputs=100000
    python -m benchmarks.fuzz graph --inputs=100000
    python -m benchmarks.fuzz microscopy --inputs=100000
    python -m benchmarks.fuzz server --inputs=20000

`decoder`: the decoders without TensorFlow and of the served graph give the same pixels, or both refuse. `graph`: a
SavedModel and an ONNX graph give a valid image its prediction whatever stands beside it in the batch. `microscopy`:
the reader of microscope files gives an image or an error that it documents. `server`: every request gets a response
that is no internal error, and a valid one beside it its prediction. The inputs follow from `--seed` and their number.
Workers are processes: one that crashes, hangs or fills the memory is a problem, and the campaign goes on behind it.
Ends with 1 where there is a problem. `--output` keeps the inputs that show problems; look at them with care.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import re
import sys
import tempfile

from benchmarks.fuzz import campaign, models
from benchmarks.fuzz.worker import TARGETS

_EXAMPLES = 3


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which it ends, with fewer inputs")
    parser.add_argument("--limit_s", type=float, default=campaign.Bounds.seconds, help="for one input")
    parser.add_argument("--max_memory_mb", type=int, default=campaign.Bounds.memory_mb, help="of a worker")
    parser.add_argument("--output", type=pathlib.Path, help="folder for the inputs that show problems")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.target == "graph":
            models.export(pathlib.Path(folder))
        report = campaign.Campaign(
            options.target,
            pathlib.Path(folder),
            seed=options.seed,
            bounds=campaign.Bounds(options.limit_s, options.max_memory_mb),
            minutes=options.minutes,
        ).run(options.inputs, start=options.start)
    _show(options, report)
    if options.output:
        _keep(options.output, report)
    return int(bool(report.problems))


def _show(options: argparse.Namespace, report: campaign.Report) -> None:
    outcomes = ", ".join(f"{outcome or 'none'} {count:,}" for outcome, count in report.outcomes.most_common())
    print(f"{options.target}: {report.checked:,} inputs, seed {options.seed}, {report.seconds:.0f} s: {outcomes}")
    for early, late in report.memory_mb:
        print(f"memory {early:,} MB after a tenth of the inputs, {late:,} MB at the end")
    kinds: dict[str, list[dict]] = collections.defaultdict(list)
    for problem in report.problems:
        kinds[re.sub(r"\d+", "#", problem["problem"].split("\n")[0])].append(problem)
    for kind, found in sorted(kinds.items(), key=lambda item: -len(item[1])):
        examples = ", ".join(f"{one['number']} ({one.get('name', '?')})" for one in found[:_EXAMPLES])
        print(f"PROBLEM {len(found):,} times, such as {examples}: {kind[:300]}")
    print(f"{len(report.problems):,} problems")


def _keep(folder: pathlib.Path, report: campaign.Report) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for problem in report.problems:
        stem = folder / f"{problem['number']:07d}"
        stem.with_suffix(".txt").write_text(f"{problem.get('name', '')}\n{problem['problem']}\n", encoding="utf-8")
        if "content" in problem:
            stem.with_suffix(".bin").write_bytes(bytes.fromhex(problem["content"]))


if __name__ == "__main__":
    sys.exit(main())
