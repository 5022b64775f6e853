"""Runs the pipeline: `python -m pipelines.run --preset=demo|smids|hushem`."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence

from pipelines import flags

EXIT_NOT_PUSHED = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to configuration to graph to run.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when a model was pushed or a plan printed, 1 when a stage stopped the run, 2 for a wrong
        flag, 3 when the run finished but the model was not blessed and so not pushed.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(argument in ("-h", "--help", "-help", "--helpfull") for argument in argv[1:]):
        print(flags.help_text())
        return 0
    try:
        invocation = flags.parse(argv)
    except flags.FlagError as error:
        print(f"pipelines.run: {error}", file=sys.stderr)
        return 2
    return _run(invocation)


def _run(invocation: flags.Invocation) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is first imported
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from pipelines import graph
    from pipelines.component import RunContext, StageError

    config = invocation.config
    context = RunContext(pathlib.Path(config.pipeline_root).resolve(), invocation.beam_args)
    try:
        components = graph.build(config)
        if invocation.dry_run:
            for name, plan in graph.plan(components, context):
                print(f"{plan.action:<6} {name:<17} {plan.reason}")
            return 0
        graph.run(components, context)
    except (StageError, ValueError) as error:
        print(f"pipelines.run: {error}", file=sys.stderr)
        return 1
    pusher, report = components[-2].artifact, components[-1].artifact
    print(f"\nReport: {report.directory / 'report.html'}")
    if not pusher.properties["pushed"]:
        print("Not pushed:", *pusher.properties["reasons"], sep="\n  - ")
        return EXIT_NOT_PUSHED
    print(f"Pushed: {pusher.properties['path']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
