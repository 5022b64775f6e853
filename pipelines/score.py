"""Scores any number of crops: `python -m pipelines.score --model=smids --input=crops --output=scores`."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from pipelines.cli import environment, flags
from sperm_tf import missing_packages
from sperm_tf.runtimes.registry import RUNTIMES, TENSORFLOW

USAGE = """Classifies every crop of an input; writes scores.parquet, scores.csv, scores.xlsx and summary.json.

  python -m pipelines.score --model=smids --input=crops --output=scores
  python -m pipelines.score --model=smids --input=slides.csv --output=scores        a table with a column file
  python -m pipelines.score --model=smids --input="slides/*.tar" --output=scores    archives, or any pattern
  python -m pipelines.score --model=runs/own/Calibrator/<id> --input=crops --output=scores --overlays=referred

Work is kept shard by shard: after a kill, the same command goes on. Files that cannot be read become rows with a
status; where not one can be read, the exit status is 1. docs/slide.md explains every column. What was written is
compared with its SHA-256 before it is used again (docs/reliability.md); what differs is scored again.

Flags:
  --model=NAME|DIR           a released model (smids, hushem), a folder that the Calibrator wrote, or a SavedModel
  --input=PATH               folder, tar, zip, CSV table with a column file, or a pattern in quotes
  --output=DIR               a new folder, or that of a run to go on with
  --runtime=NAME             tensorflow, openvino, onnxruntime or litert; the default is the fastest installed one
                             that opens the model without a conversion
  --overlays=none            draw where the network looked: none, referred or all
  --shard_size=512           files in a unit of work
  --runner=..., --direct_num_workers=... and Apache Beam's other flags are passed on to Beam.
"""
_OVERLAYS = ("none", "referred", "all")


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to scores.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when every file has a row, 1 when something stopped the run or not one file could be read, 2
        for a wrong flag.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(argument in flags.HELP_FLAGS for argument in argv[1:]):
        print(USAGE, end="")
        return 0
    values = _define_flags()
    try:
        beam_args = flags.check_beam_args(values(argv, known_only=True)[1:], [*values, "help"])
        missing = [name for name in ("model", "input", "output") if not values[name].value]
        if missing:
            raise flags.FlagError(f"--{missing[0]} must be given")
    except (absl_flags.Error, flags.FlagError) as error:
        print(f"pipelines.score: {str(error).rstrip('. ')}. See --help", file=sys.stderr)
        return 2
    print(f"Scores {values.input} with {values.model}.", file=sys.stderr, flush=True)
    environment.set_defaults()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from pipelines.bulk_inference import runner, unreadable

    request = runner.Request(
        model=values.model,
        input=values.input,
        output=pathlib.Path(values.output),
        overlays=values.overlays,
        shard_size=values.shard_size,
        beam_args=beam_args,
        runtime=values.runtime,
    )
    try:
        summary = runner.run(request)
        problem = unreadable.explain_nothing_read(summary, request.output.expanduser())
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"pipelines.score: {missing_packages.say(error)}", file=sys.stderr)
        return 1
    print(runner.describe(summary))
    print(f"Scores: {request.output / 'scores.parquet'}, scores.csv; for a spreadsheet: scores.xlsx")
    if problem:
        print(f"pipelines.score: {problem}", file=sys.stderr)
    return int(bool(problem))


def _define_flags() -> absl_flags.FlagValues:
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_string("model", "", "the model", flag_values=values)
    absl_flags.DEFINE_string("input", "", "the images", flag_values=values)
    absl_flags.DEFINE_string("output", "", "where scores go", flag_values=values)
    absl_flags.DEFINE_enum("overlays", _OVERLAYS[0], _OVERLAYS, "overlays to draw", flag_values=values)
    absl_flags.DEFINE_enum("runtime", "", ("", TENSORFLOW, *RUNTIMES), "what computes the answers", flag_values=values)
    absl_flags.DEFINE_integer("shard_size", 512, "files in a shard", lower_bound=1, flag_values=values)
    return values


if __name__ == "__main__":
    sys.exit(main())
