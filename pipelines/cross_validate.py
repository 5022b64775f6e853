"""Cross-validates models on a dataset: `python -m pipelines.cross_validate --preset=smids|hushem|own`."""

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from pipelines.cli import environment, flags
from pipelines.cross_validation import recipes
from sperm_tf import missing_packages
from sperm_tf.models.registry import BACKBONES, DEFAULT_BACKBONES

USAGE = """Trains every model on every fold, and publishes the answers to the images that it did not see.

  python -m pipelines.cross_validate --preset=hushem --manual_dir=<folder> --repeats=2
  python -m pipelines.cross_validate --preset=smids_b0 --manual_dir=<folder> --models=simple_cnn,efficientnet_b0_cbam
  python -m pipelines.cross_validate --preset=own --data_dir=<folder or CSV>
  python -m pipelines.cross_validate --preset=hushem --dry_run        prepares the images, lists the fits

Every fit is kept: a sweep that was stopped goes on where it was. Fits whose answers lie in results_dir, made by the
same recipe on the same images, are not repeated.

Flags, besides those of pipelines.run (see python -m pipelines.run --help):
  --models=NAMES            of {models};
                            default the preset's, and with an EfficientNet-B0 all that need no further package
  --repeats=2               repeats of five folds each
  --results_dir=DIR         where answers are published; default docs/results for smids and hushem, else
                            <pipeline_root>/results
  --final                   when all fits are finished, train the models on all images, for pipelines.release
  --no_training             publish the fits that are finished, and stop
  --plan_dir=DIR            write the fits that are not finished for another machine, and stop (see docs/gpu.md)
  --import_from=DIR         take in the fits that another machine finished
--config.trainer.… changes the recipe of all models; but {random} start at random, with no frozen phase
and {scratch:g} times the epochs, where the others start from weights, and {slow}.
Beam's flags spread the fits over processes, such as --direct_running_mode=multi_processing --direct_num_workers=2.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to fits to results.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when every fit is finished and published or a plan was printed, 1 when something stopped the
        sweep, 2 for a wrong flag, 3 when fits are missing.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(argument in flags.HELP_FLAGS for argument in argv[1:]):
        print(USAGE.format(models=", ".join(BACKBONES), scratch=recipes.SCRATCH_EPOCHS, **_exceptions()), end="")
        return 0
    own = _define_flags()
    try:
        rest = own(argv, known_only=True)
        invocation = flags.parse(rest)
        models = (
            flags.parse_names("models", own.models, list(BACKBONES))
            if own.models is not None
            else _default_models(invocation)
        )
        _check(own, rest)
    except (absl_flags.Error, flags.FlagError) as error:
        print(f"pipelines.cross_validate: {error}", file=sys.stderr)
        return 2
    environment.set_defaults()
    from pipelines.cross_validation import runner

    request = runner.Request(
        config=invocation.config,
        beam_args=invocation.beam_args,
        models=models,
        repeats=own.repeats,
        results_dir=pathlib.Path(own.results_dir).expanduser() if own.results_dir else None,
        training=not own.no_training,
        final=own.final,
        plan_dir=pathlib.Path(own.plan_dir).expanduser() if own.plan_dir else None,
        import_from=pathlib.Path(own.import_from).expanduser() if own.import_from else None,
        dry_run=invocation.dry_run,
    )
    try:
        return runner.run(request, report=functools.partial(print, flush=True))
    except (RuntimeError, ValueError, OSError, ImportError, ArithmeticError) as error:
        print(f"pipelines.cross_validate: {missing_packages.say(error)}", file=sys.stderr)
        return 1


def _default_models(invocation: flags.Invocation) -> tuple[str, ...]:
    name = invocation.config.trainer.model.name
    return DEFAULT_BACKBONES if name in DEFAULT_BACKBONES else (name,)


def _check(own: absl_flags.FlagValues, rest: Sequence[str]) -> None:
    if own.final and (own.no_training or own.plan_dir):
        raise flags.FlagError("--final trains here: it goes neither with --no_training nor with --plan_dir")
    if any(argument.lstrip("-").startswith("config.trainer.model.name") for argument in rest):
        raise flags.FlagError("--models says which networks are trained, --config.trainer.model.name does not")


def _exceptions() -> dict[str, str]:
    """The backbones that differ from the preset's recipe, for the usage."""
    rates = {name: entry.max_learning_rate for name, entry in BACKBONES.items() if entry.max_learning_rate is not None}
    return {
        "random": " and ".join(name for name, entry in BACKBONES.items() if entry.initial_weights == "none"),
        "slow": " and ".join(f"{name} has a rate of at most {rate:g}" for name, rate in rates.items()),
    }


def _define_flags() -> absl_flags.FlagValues:
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_string("models", None, "models, comma-separated", flag_values=values)
    absl_flags.DEFINE_integer("repeats", 2, "repeats of five folds", lower_bound=1, flag_values=values)
    absl_flags.DEFINE_string("results_dir", "", "where answers are published", flag_values=values)
    absl_flags.DEFINE_bool("final", False, "train on all images", flag_values=values)
    absl_flags.DEFINE_bool("no_training", False, "publish what is finished", flag_values=values)
    absl_flags.DEFINE_string("plan_dir", "", "write a plan for another machine", flag_values=values)
    absl_flags.DEFINE_string("import_from", "", "take in another machine's fits", flag_values=values)
    return values


if __name__ == "__main__":
    sys.exit(main())
