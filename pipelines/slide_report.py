"""Reports on slides: `python -m pipelines.slide_report --scores=scores --output=report`."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from pipelines.cli import flags
from sperm_tf import missing_packages

USAGE = """Counts the spermatozoa of slides that were scored; writes slide.html and slide.pdf.

  python -m pipelines.slide_report --scores=scores --output=report

  python -m pipelines.slide_report --scores=scores --reviews=reviews --sample=2026-014 --output=report

Flags:
  --scores=DIR|FILE              what python -m pipelines.score wrote: its folder, or scores.parquet; or the folder of
                                 python -m pipelines.fields, whose fields and head measures are then shown
  --output=DIR                   where both files go; earlier ones there are replaced
  --slide_column=NAME            column that names the slide; default: slide, where the scores have it
  --replicate_column=NAME        column that names the replicate; default: replicate, where the scores have it
  --normal_classes=A,B           classes of normal forms; default: those called normal
  --not_sperm_classes=A,B        classes of what is no spermatozoon; default: those called non-sperm, debris, leukocyte
                                 and the like, if the names of all classes are known; none: --not_sperm_classes=none
  --reviews=DIR                  what python -m pipelines.review wrote: counts before and after review are both shown
  --sample=TEXT                  the sample, as the report names it; a code, never a person's name
  --laboratory=TEXT, --stain=TEXT, --magnification=TEXT, --operator=TEXT, --collected=DATE, --stained=DATE
                                 more about it; default of each: the column of that name, where the table had one;
                                 what is not known is a line to write on
  --images=DIR                   where the images are now, if they were moved since
  --sheet_size=48                most images on the contact sheet of a slide
  --field_pictures=12            most pictures of fields of a slide, for what python -m pipelines.fields found
"""


_SAMPLE = ("sample", "laboratory", "stain", "magnification", "operator", "collected", "stained")


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to report.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when both files were written, 1 when something stopped the report, 2 for a wrong flag.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(argument in flags.HELP_FLAGS for argument in argv[1:]):
        print(USAGE, end="")
        return 0
    values = _define_flags()
    try:
        flags.parse_own(values, argv)
        if missing := [name for name in ("scores", "output") if not values[name].value]:
            raise flags.FlagError(f"--{missing[0]} must be given. See --help")
    except flags.FlagError as error:
        print(f"pipelines.slide_report: {error}", file=sys.stderr)
        return 2
    print(f"Counting the scores in {values.scores}; page, PDF and contact sheet follow.", flush=True)
    from pipelines.bulk_inference import slides

    request = slides.Request(
        scores=pathlib.Path(values.scores),
        output=pathlib.Path(values.output),
        slide_column=values.slide_column,
        replicate_column=values.replicate_column,
        normal_classes=values.normal_classes,
        not_sperm_classes=values.not_sperm_classes,
        images=values.images,
        reviews=values.reviews,
        sample={name: values[name].value for name in _SAMPLE if values[name].value},
        sheet_size=values.sheet_size,
        field_pictures=values.field_pictures,
    )
    try:
        written = slides.run(request)
    except (ValueError, OSError, ImportError) as error:
        print(f"pipelines.slide_report: {missing_packages.say(error)}", file=sys.stderr)
        return 1
    for path in written:
        print(f"wrote {path}")
    return 0


def _define_flags() -> absl_flags.FlagValues:
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_string("scores", "", "the scores", flag_values=values)
    absl_flags.DEFINE_string("output", "", "where the report goes", flag_values=values)
    absl_flags.DEFINE_string("slide_column", None, "column of slides", flag_values=values)
    absl_flags.DEFINE_string("replicate_column", None, "column of replicates", flag_values=values)
    absl_flags.DEFINE_list("normal_classes", None, "classes of normal forms", flag_values=values)
    absl_flags.DEFINE_list("not_sperm_classes", None, "classes of no spermatozoa", flag_values=values)
    absl_flags.DEFINE_string("reviews", "", "where the reviews are", flag_values=values)
    for name in _SAMPLE:
        absl_flags.DEFINE_string(name, "", "of the sample", flag_values=values)
    absl_flags.DEFINE_string("images", "", "where the images are", flag_values=values)
    absl_flags.DEFINE_integer("sheet_size", 48, "images on a sheet", lower_bound=0, flag_values=values)
    absl_flags.DEFINE_integer("field_pictures", 12, "pictures of fields", lower_bound=0, flag_values=values)
    return values


if __name__ == "__main__":
    sys.exit(main())
