"""Questions the networks of a cross-validation: `python -m pipelines.audit --preset=smids|hushem|own`."""

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from pipelines.cli import environment, flags
from sperm_tf import missing_packages
from sperm_tf.models.registry import BACKBONES

AUDITS = ("strangers", "transfer", "attacks", "corruptions", "explanations", "labels")
USAGE = """Asks every network of a finished cross-validation what its answers are worth, on images that it never saw.

  python -m pipelines.audit --preset=smids --manual_dir=<folder>
  python -m pipelines.audit --preset=hushem --manual_dir=<folder> --models=efficientnet_b0_cbam --audits=strangers
  python -m pipelines.audit --preset=smids --manual_dir=<folder> --dry_run      lists the networks that are here

Every network is questioned with the decision rule that the other folds' answers teach it. What is finished is kept: an
audit that was stopped goes on where it was. The figures are written to <results_dir>/<dataset>/audits.json, from which
python -m pipelines.results makes docs/trust.md. Networks that were trained elsewhere cannot be questioned here.

Flags, besides those of pipelines.run (see python -m pipelines.run --help):
  --models=NAMES            of {models}; default all that have finished fits
  --audits=NAMES            of {audits}; default all but labels, which
                            trains another network for every model
  --repeat=0                whose five networks are questioned
  --results_dir=DIR         as that of pipelines.cross_validate
--config.audit.… says how many images are asked about.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to audits to metrics.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when the figures were written or a plan printed, 1 when something stopped the audit, 2 for a
        wrong flag.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(argument in flags.HELP_FLAGS for argument in argv[1:]):
        print(USAGE.format(models=", ".join(BACKBONES), audits=", ".join(AUDITS)), end="")
        return 0
    own = _define_flags()
    try:
        rest = own(argv, known_only=True)
        models = flags.parse_names("models", own.models, list(BACKBONES))
        audits = flags.parse_names("audits", own.audits, AUDITS)
        invocation = flags.parse(rest)
    except (absl_flags.Error, flags.FlagError) as error:
        print(f"pipelines.audit: {error}", file=sys.stderr)
        return 2
    environment.set_defaults()
    from pipelines.audits import runner

    request = runner.Request(
        config=invocation.config,
        beam_args=invocation.beam_args,
        models=models,
        audits=audits,
        repeat=own.repeat,
        results_dir=pathlib.Path(own.results_dir).expanduser() if own.results_dir else None,
        dry_run=invocation.dry_run,
    )
    try:
        return runner.run(request, report=functools.partial(print, flush=True))
    except (RuntimeError, ValueError, OSError, ImportError, ArithmeticError) as error:
        print(f"pipelines.audit: {missing_packages.say(error)}", file=sys.stderr)
        return 1


def _define_flags() -> absl_flags.FlagValues:
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_string("models", ",".join(BACKBONES), "models, comma-separated", flag_values=values)
    by_default = ",".join(name for name in AUDITS if name != "labels")  # which trains
    absl_flags.DEFINE_string("audits", by_default, "audits, comma-separated", flag_values=values)
    absl_flags.DEFINE_integer("repeat", 0, "whose networks are questioned", lower_bound=0, flag_values=values)
    absl_flags.DEFINE_string("results_dir", "", "where figures are published", flag_values=values)
    return values


if __name__ == "__main__":
    sys.exit(main())
