"""Runs the pipeline: `python -m pipelines.run --preset=demo|smids|hushem|own`."""

from __future__ import annotations

import functools
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.cli import environment, flags
from pipelines.cli.quiet import import_tensorflow_quietly
from sperm_tf import missing_packages
from sperm_tf.config import PipelineConfig

if TYPE_CHECKING:
    from sperm_tf.config import PipelineConfig

EXIT_NOT_PUSHED = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to configuration to graph to run.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when a model was pushed, a plan printed or every file found as it was written, 1 when a stage
        stopped the run or a file differs, 2 for a wrong flag, 3 when the run finished but the model was not blessed and
        so not pushed.
    """
    argv = list(sys.argv if argv is None else argv)
    try:
        if any(argument in flags.HELP_FLAGS for argument in argv[1:]):
            print(flags.help_text(argv))
            return 0
        invocation = flags.parse(argv)
    except flags.FlagError as error:
        print(f"pipelines.run: {error}", file=sys.stderr)
        return 2
    return _verify(invocation.config) if invocation.verify else _run(invocation)


def _run(invocation: flags.Invocation) -> int:
    environment.set_defaults()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    print(f"pipelines.run: preset {invocation.config.preset}, into {invocation.config.pipeline_root}", flush=True)
    from pipelines.components import graph
    from pipelines.orchestration.component import RunContext

    config = invocation.config
    context = RunContext(pathlib.Path(config.pipeline_root).resolve(), invocation.beam_args)
    try:
        components = graph.build(config)
        if invocation.dry_run:
            plans = graph.plan(components, context)
            width = max(len(name) for name, _ in plans)
            for name, plan in plans:
                print(f"{plan.action:<6} {name:<{width}} {plan.reason}")
            if config.example_gen.dataset == "own_images":
                from tfds_builders.own_images import list_images

                images = list_images(config.example_gen.data_dir)
                print(f"\n{config.example_gen.data_dir}: {images.describe()}.")
                for warning in images.warnings:
                    print(f"Warning: {warning}.")
            return 0
        context.check_runner()
        say = functools.partial(print, flush=True)
        finished = graph.run(components, context, report=say, on_start=import_tensorflow_quietly)
    except (RuntimeError, ValueError, OSError, ImportError, ArithmeticError) as error:
        print(f"pipelines.run: {missing_packages.say(error)}", file=sys.stderr)
        return 1
    evaluation, pushed = finished["Evaluator"].properties, finished["Pusher"].properties
    print(
        f"\nAccuracy {evaluation['accuracy']:.1%} and macro F1 {evaluation['macro_f1']:.3f} on "
        f"{evaluation['num_examples']} test images; the intervals are in the report.\n"
        f"Accepted: {evaluation['num_accepted']} of them; the report says why the others are referred."
    )
    print(f"Report: {finished['Report'].directory / 'report.html'}")
    if not pushed["pushed"]:
        print("Not pushed:", *pushed["reasons"], sep="\n  - ")
        return EXIT_NOT_PUSHED
    print(f"Pushed: {pushed['path']}")
    return _analyse_fields(config, pushed) if config.drawn_fields else 0


def _analyse_fields(config: PipelineConfig, pushed: Mapping[str, Any]) -> int:
    """From drawn fields to a slide report, by the model that was pushed."""
    from pipelines.field_analysis.drawn_fields import analyse_drawn_fields
    from pipelines.orchestration import verification

    folder = pathlib.Path(config.pipeline_root).resolve() / verification.FIELDS / str(pushed["version"])
    try:
        page = analyse_drawn_fields(pushed["path"], folder, config.drawn_fields, report=print)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"pipelines.run: drawn fields: {missing_packages.say(error)}", file=sys.stderr)
        return 1
    print(f"Slide report: {page}")
    return 0


def _verify(config: PipelineConfig) -> int:
    from pipelines.orchestration import verification

    root = pathlib.Path(config.pipeline_root).resolve()
    serving = pathlib.Path(config.pusher.serving_base or root / "serving").resolve()
    try:
        report = verification.verify(root, serving)
    except (ValueError, OSError) as error:
        print(f"pipelines.run: {error}", file=sys.stderr)
        return 1
    for difference in report.differences:
        print(f"{difference.path}: {difference.problem}\n  {difference.remedy}")
    print(report.describe())
    return int(bool(report.differences))


if __name__ == "__main__":
    sys.exit(main())
