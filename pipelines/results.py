"""Analyses published out-of-fold predictions again: `python -m pipelines.results`. Nothing is trained."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from pipelines.cli.flags import HELP_FLAGS, FlagError, parse_own
from pipelines.cross_validation import published
from sperm_tf import missing_packages

USAGE = """Computes every published figure from the out-of-fold predictions; trains nothing.

  python -m pipelines.results

Reads <results_dir>/<dataset>/<model>.csv and fits.json, and notes.md in <results_dir> if there is one. Writes
<results_dir>/<dataset>/results.json and decisions.json, the plots beside them, the page of results, and trust.md beside
it: when an answer can be trusted, with what pipelines.audit found, <results_dir>/<dataset>/audits.json.

Flags:
  --results_dir=docs/results   folder with one folder a dataset
  --page=docs/results.md       page of results to write
  --bootstrap_samples=2000     resamples of the group bootstrap, at least 100
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to metrics to page.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when the page was written, 1 when predictions are missing or refused, 2 for a wrong flag.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(argument in HELP_FLAGS for argument in argv[1:]):
        print(USAGE, end="")
        return 0
    values = _define_flags()
    try:
        parse_own(values, argv)
    except FlagError as error:
        print(f"pipelines.results: {error}", file=sys.stderr)
        return 2
    try:
        results_dir, page = (pathlib.Path(path).expanduser() for path in (values.results_dir, values.page))
        published.write_pages(results_dir, page, values.bootstrap_samples)
    except (ValueError, OSError, ImportError) as error:
        print(f"pipelines.results: {missing_packages.say(error)}", file=sys.stderr)
        return 1
    return 0


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string("results_dir", "docs/results", "folder with one folder a dataset", flag_values=values)
    flags.DEFINE_string("page", "docs/results.md", "page of results", flag_values=values)
    flags.DEFINE_integer("bootstrap_samples", 2000, "number of resamples", lower_bound=100, flag_values=values)
    return values


if __name__ == "__main__":
    # Decides without TensorFlow, which takes seconds to import. Not in main: a caller's own processes would inherit it.
    # Keras' NumPy backend imports jax (3.15), which only the extra `jax` brings.
    if importlib.util.find_spec("jax"):
        os.environ.setdefault("KERAS_BACKEND", "numpy")
    sys.exit(main())
