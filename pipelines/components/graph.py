"""The one file that connects components to a pipeline."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

from pipelines.orchestration import lineage
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, Plan, RunContext, StageError
from sperm_tf.config import PipelineConfig


def build(config: PipelineConfig) -> list[Component]:
    """All stages of a run, in the order in which they work.

    Raises:
        WeightsError: the initial weights cannot be had, or have seen the images that are to be tested on.
    """
    from pipelines.components.calibrator import Calibrator
    from pipelines.components.evaluator import Evaluator
    from pipelines.components.example_gen import ExampleGen
    from pipelines.components.example_validator import ExampleValidator
    from pipelines.components.explainer import Explainer
    from pipelines.components.explanation_validator import ExplanationValidator
    from pipelines.components.infra_validator import InfraValidator
    from pipelines.components.pusher import Pusher
    from pipelines.components.report import Report
    from pipelines.components.trainer import Trainer
    from pipelines.components.transform import Transform

    lineage.check_unseen(config.trainer.model.weights, config.example_gen)
    root = pathlib.Path(config.pipeline_root).resolve()
    if set(str(root)) & set("*?["):
        raise StageError(
            "pipeline_root must be a path without *, ? and [, which Apache Beam takes for patterns. Received: "
            f"{str(root)!r}. Name another with --pipeline_root."
        )
    serving_model_dir = serving_dir(config)
    examples = ExampleGen(config.example_gen)
    validation = ExampleValidator(config.example_validator, examples=examples)
    transformed = Transform(config.transform, examples=examples, validation=validation)
    trained = Trainer(config.trainer, examples=transformed)
    model = Calibrator(config.calibrator, model=trained, examples=transformed)
    evaluation = Evaluator(config.evaluator, serving_model_dir=serving_model_dir, examples=examples, model=model)
    explanations = Explainer(config.explainer, examples=examples, model=model, evaluation=evaluation)
    explanation_blessing = ExplanationValidator(config.explanation_validator, examples=examples, model=model)
    infra_blessing = InfraValidator(config.infra_validator, model=model, examples=examples)
    pushed = Pusher(
        config.pusher,
        serving_model_dir=serving_model_dir,
        examples=examples,
        model=model,
        evaluation=evaluation,
        explanation_blessing=explanation_blessing,
        infra_blessing=infra_blessing,
    )
    report = Report(
        None,
        example_gen=examples,
        example_validator=validation,
        transform=transformed,
        trainer=trained,
        calibrator=model,
        evaluator=evaluation,
        explainer=explanations,
        explanation_validator=explanation_blessing,
        infra_validator=infra_blessing,
        pusher=pushed,
    )
    return [
        examples,
        validation,
        transformed,
        trained,
        model,
        evaluation,
        explanations,
        explanation_blessing,
        infra_blessing,
        pushed,
        report,
    ]


def serving_dir(config: PipelineConfig) -> pathlib.Path:
    """`<serving_base>/<model_name>`, absolute."""
    base = config.pusher.serving_base or pathlib.Path(config.pipeline_root) / "serving"
    name = config.pusher.model_name or f"sperm_{config.example_gen.dataset.removesuffix('_sperm')}"
    return pathlib.Path(base).resolve() / name


def plan(components: list[Component], context: RunContext) -> list[tuple[str, Plan]]:
    """What a run would do, stage by stage, without doing it."""
    return [(component.name, component.plan(context)) for component in components]


def run(
    components: list[Component],
    context: RunContext,
    *,
    report: Callable[[str], None] = print,
    on_start: Callable[[], None] = lambda: None,
) -> dict[str, Artifact]:
    """Runs the stages one after the other, reusing what is finished.

    Args:
        components: as `build` returns them.
        context: where and how to run.
        report: receives one line a stage, and one before it starts to work.
        on_start: called before a stage starts to work; never when every stage is reused.

    Returns:
        Name of the stage -> its finished artifact.

    Raises:
        StageError: when a stage found something that must stop the run.
        ValueError: the network that would be trained cannot be built.
    """
    finished = {}
    width = max(len(component.name) for component in components)
    for number, component in enumerate(components, start=1):
        title = f"[{number}/{len(components)}] {component.name:<{width}}"

        def begin(title: str = title, name: str = component.name) -> None:
            report(f"{title} ...")
            on_start()
            if name == "ExampleGen":
                _check_network(components)

        start = time.monotonic()
        artifact = component.run(context, on_start=begin)
        seconds = time.monotonic() - start
        how = "reused" if component.was_reused else f"done in {seconds:.1f} s"
        report(f"{title} {how}: {artifact.directory}")
        finished[component.name] = artifact
    return finished


def _check_network(components: list[Component]) -> None:
    """Refuses before the stages ahead of the training, which take minutes, what the training would refuse."""
    from sperm_tf.models.classifier import build_classifier

    configs = {component.name: component.config for component in components}
    if "Trainer" in configs:
        build_classifier(configs["Trainer"].model, num_classes=2, image_size=configs["Transform"].image_size)
