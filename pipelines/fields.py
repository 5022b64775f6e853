"""Finds and classifies the cells of fields: `python -m pipelines.fields --model=smids --input=fields --output=out`."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from pipelines.cli import flags
from sperm_tf import missing_packages
from sperm_tf.fields.finders import CLASSICAL, FINDERS
from sperm_tf.runtimes.registry import RUNTIMES, TENSORFLOW

USAGE = """Finds the heads of spermatozoa in fields of view, cuts a crop of each cell, and classifies it.

  python -m pipelines.fields --model=smids --input=fields --output=cells
  python -m pipelines.fields --model=smids --input="slides/*/*.jpg" --output=cells --pixel_size_um=0.05
  python -m pipelines.slide_report --scores=cells --output=report

Writes cells.parquet, cells.csv and cells.xlsx (a row a cell), fields.parquet and fields.csv (a row a field), crops/,
overlays/, cells.geojson (QuPath), cells.coco.json and rois/ (ImageJ). Fields that cannot be read become rows with a
status. After a kill, the same command goes on. docs/fields.md explains every column, docs/reliability.md what
is checked.

Flags:
  --model=NAME|DIR           a released model (smids, hushem), a folder that the Calibrator wrote, or a SavedModel
  --input=PATH               folder, tar, zip, CSV table with a column file, or a pattern in quotes; one magnification
  --output=DIR               a new folder, or that of a run to go on with
  --finder=classical         what finds the heads
  --pixel_size_um=FLOAT      micrometres a pixel; without it, it is estimated from the heads
  --crop_per_head=FLOAT      side of a crop by the length of its head, as in the images that the model was trained on;
                             default: that of a released model, else SMIDS', 3.2
  --nocheck_pixel_size       take it even if it does not fit what is found: on a slide with hardly any heads
  --runtime=NAME             as for pipelines.score
  --overlays=none            attribution maps of crops: none, referred or all
  --shard_size=16            fields in a unit of work
  --runner=..., --direct_num_workers=... and Apache Beam's other flags are passed on to Beam.
"""
_OVERLAYS = ("none", "referred", "all")


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to cells.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when every field has a row, 1 when something stopped the run or not one field could be
        read, 2 for a wrong flag.
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
        print(f"pipelines.fields: {str(error).rstrip('. ')}. See --help", file=sys.stderr)
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    output = pathlib.Path(values.output)
    try:
        from pipelines.field_analysis import runner

        request = runner.Request(
            model=values.model,
            input=values.input,
            output=output,
            finder=values.finder,
            pixel_size_um=values.pixel_size_um,
            crop_per_head=values.crop_per_head,
            check_pixel_size=values.check_pixel_size,
            overlays=values.overlays,
            shard_size=values.shard_size,
            beam_args=beam_args,
            runtime=values.runtime,
        )
        summary = runner.run(request)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"pipelines.fields: {missing_packages.say(error)}", file=sys.stderr)
        return 1
    print(runner.describe(summary))
    print(
        f"Cells: {output / 'cells.parquet'}, cells.csv; for a spreadsheet: cells.xlsx; overlays: {output / 'overlays'}"
    )
    if problem := runner.explain_nothing_read(summary):
        print(f"pipelines.fields: {problem}", file=sys.stderr)
        return 1
    return 0


def _define_flags() -> absl_flags.FlagValues:
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_string("model", "", "the model", flag_values=values)
    absl_flags.DEFINE_string("input", "", "the fields", flag_values=values)
    absl_flags.DEFINE_string("output", "", "where cells go", flag_values=values)
    absl_flags.DEFINE_enum("finder", CLASSICAL, list(FINDERS), "what finds heads", flag_values=values)
    absl_flags.DEFINE_float("pixel_size_um", None, "micrometres a pixel", flag_values=values)
    absl_flags.DEFINE_float(
        "crop_per_head",
        None,
        "side of a crop by the head's length",
        lower_bound=1.0,
        upper_bound=20.0,
        flag_values=values,
    )
    absl_flags.DEFINE_bool("check_pixel_size", True, "compare it with the heads", flag_values=values)
    absl_flags.DEFINE_enum("overlays", _OVERLAYS[0], _OVERLAYS, "attribution maps to draw", flag_values=values)
    absl_flags.DEFINE_enum("runtime", "", ("", TENSORFLOW, *RUNTIMES), "what computes predictions", flag_values=values)
    absl_flags.DEFINE_integer("shard_size", 16, "fields in a shard", lower_bound=1, flag_values=values)
    return values


if __name__ == "__main__":
    sys.exit(main())
