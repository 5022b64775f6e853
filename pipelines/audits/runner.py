"""Runs audits of finished fits, and writes what they found."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pandas as pd

from pipelines.audits.registry import AUDITS, NEEDED, NOT_TAKEN
from pipelines.components.example_gen import ExampleGen
from pipelines.components.predictions_file import ANSWERS_FILE, read_answers
from pipelines.cross_validation import jobs as units_lib
from pipelines.cross_validation.fold_calibrator import FoldCalibrator
from pipelines.orchestration import lineage
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext, StageError
from sperm_tf.config import PipelineConfig
from sperm_tf.evaluation.cross_validation import fits_file
from sperm_tf.whole_files import write_text

AUDITS_FILE = "audits.json"
_OTHER_DATASET = {"smids": "hushem", "hushem": "smids"}


@dataclasses.dataclass(frozen=True)
class Request:
    """What the command line asks for; the fields are those of `pipelines.audit`'s flags."""

    config: PipelineConfig
    beam_args: tuple[str, ...]
    models: tuple[str, ...]
    audits: tuple[str, ...]
    repeat: int
    results_dir: pathlib.Path | None
    dry_run: bool


def run(request: Request, *, report: Callable[[str], None] = print) -> int:
    """Questions every network of the repeat that was trained here.

    Figures of models and audits that are not asked for stay as they are published, unless they are of other networks.

    Args:
        request: what to do.
        report: receives lines for people.

    Returns:
        0, the exit status.

    Raises:
        StageError: no model has all its networks here.
    """
    context = RunContext(pathlib.Path(request.config.pipeline_root).resolve(), request.beam_args)
    context.check_runner()
    examples = units_lib.transformed_examples(request.config, context)
    generated = ExampleGen(units_lib.with_every_image(request.config).example_gen).run(context)
    dataset = request.config.example_gen.dataset
    results_dir = (request.results_dir or units_lib.default_results_dir(dataset, context)) / dataset
    audits = _possible(request.audits, dataset, report=report)
    by_model = {
        model: _finished(request, model, examples, context, results_dir, report=report) for model in request.models
    }
    by_model = {model: units for model, units in by_model.items() if units}
    if not by_model:
        raise StageError(
            f"a model must have all networks of repeat {request.repeat} under {context.pipeline_root}. Received: "
            f"{', '.join(request.models)}, of which none has. Train them, into a results_dir that holds no answers of "
            f"theirs yet: python -m pipelines.cross_validate --preset={request.config.preset} "
            f"--models={','.join(request.models)} --results_dir=retrained, and name the same results_dir here"
        )
    _check_published(by_model, results_dir, context)
    if request.dry_run:
        for unit in (unit for units in by_model.values() for unit in units):
            report(f"ask    {unit.name}: {', '.join(audits)}")
        return 0
    file = results_dir / AUDITS_FILE
    takes_other = any(AUDITS[name].other != NOT_TAKEN for name in audits)
    other = _other_dataset(request.config, context, report=report) if takes_other else None
    for model, units in by_model.items():
        calibrated = [_calibrate(request, unit, units, examples, context) for unit in units]
        networks = [unit.fingerprint for unit in units]
        unseen = other if other is not None and _has_not_seen(units[0], other, report=report) else None
        for name in audits:
            inputs: dict[str, Any] = {"examples": generated}
            if AUDITS[name].other != NOT_TAKEN and unseen is not None:
                inputs["other"] = unseen
            elif AUDITS[name].other == NEEDED:
                report(f"{name}: {model} was not asked, it needs another dataset that the networks have not seen")
                continue
            figures = _ask(request, name, units, calibrated, inputs, examples, context, report=report)
            _publish(file, model, networks, name, figures)
    if file.is_file():
        report(f"Figures: {file}")
    return 0


def _check_published(by_model: dict[str, list[units_lib.Unit]], results_dir: pathlib.Path, context: RunContext) -> None:
    """Refuses networks other than those whose predictions are published: the page would leave their metrics out.

    Raises:
        StageError: a model's networks are not among them.
    """
    published: dict[str, set[str]] = {}
    for fit in fits_file.read_json(results_dir / fits_file.FITS_FILE):
        published.setdefault(fit["model"], set()).add(fit["fingerprint"])
    for model, units in by_model.items():
        if model in published and not published[model].issuperset(unit.fingerprint for unit in units):
            raise StageError(
                f"the networks of {model} must be those whose answers {results_dir} publishes. Received: others, under "
                f"{context.pipeline_root}; their figures would replace the published ones, and belong to no answers. "
                "Name the folder with their answers with --results_dir, as for pipelines.cross_validate"
            )


def _possible(audits: tuple[str, ...], dataset: str, *, report: Callable[[str], None]) -> tuple[str, ...]:
    """The audits that the dataset allows.

    Raises:
        StageError: it allows none.
    """
    left_out = [name for name in audits if AUDITS[name].other == NEEDED and dataset not in _OTHER_DATASET]
    if len(left_out) == len(audits):
        raise StageError(
            f"--audits={','.join(left_out)} needs the images of another public dataset with the same kind of classes, "
            f"and is for {' and '.join(_OTHER_DATASET)}. Received: dataset={dataset}. Ask for other audits."
        )
    for name in left_out:
        report(f"{name}: left out, it is for {' and '.join(_OTHER_DATASET)}")
    return tuple(name for name in audits if name not in left_out)


def _publish(file: pathlib.Path, model: str, networks: list[str], audit: str, figures: Any) -> None:
    """Adds metrics to those of other models and audits, which another run may be writing, too."""
    import filelock

    file.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(file.with_name(f".{file.name}.lock")):
        published = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if published.get(model, {}).get("networks") != networks:
            published[model] = {"networks": networks}
        published[model][audit] = figures
        write_text(file, json.dumps(published, indent=1, allow_nan=False) + "\n")


def _has_not_seen(unit: units_lib.Unit, other: Component, *, report: Callable[[str], None]) -> bool:
    """Whether the weights that the networks started from are none that learnt from the other dataset."""
    from sperm_tf.models.errors import WeightsError

    try:
        lineage.check_unseen(unit.config.trainer.model.weights, other.config)
    except WeightsError as error:
        report(f"{other.config.dataset}: not shown as a stranger ({error})")
        return False
    return True


def _ask(
    request: Request,
    name: str,
    units: list[units_lib.Unit],
    calibrated: list[Artifact],
    inputs: dict[str, Any],
    transformed: Artifact,
    context: RunContext,
    *,
    report: Callable[[str], None],
) -> Any:
    """Runs an audit on the networks of a model, and computes its metrics."""
    audit, config = AUDITS[name], getattr(request.config.audit, name)
    components, parts = {}, []
    num_asked = config.num_folds if audit.rival else len(units)
    for unit, network in zip(units[:num_asked], calibrated[:num_asked], strict=True):
        report(f"{name}: {unit.name} ...")
        rival = {"rival": audit.rival(config, unit.config, transformed)} if audit.rival else {}
        component = audit.component(config, model=network, **inputs, **rival)
        answers = read_answers(component.run(context).directory / ANSWERS_FILE)
        parts.append(answers.assign(fold=unit.config.fold))
        components[f"fold_{unit.config.fold}"] = component
    if audit.analyze is not None:
        directory = audit.analyze(None, **components).run(context).directory
        report(f"{name}: {units[0].config.trainer.model.name}, for tfma.load_eval_result: {directory / 'eval_result'}")
    return audit.describe(pd.concat(parts, ignore_index=True))


def _finished(
    request: Request,
    model: str,
    examples: Artifact,
    context: RunContext,
    results_dir: pathlib.Path,
    *,
    report: Callable[[str], None],
) -> list[units_lib.Unit]:
    """The model's units of the repeat, if every network is here; else none."""
    units = units_lib.plan(request.config.trainer, [model], [request.repeat], examples, context)
    units_lib.recall(units, context, results_dir)
    missing = [
        unit.config.fold
        for unit in units
        if unit.rows is None or not (unit.directory(context) / "model.keras").is_file()
    ]
    if missing:
        report(f"{model}: not questioned, the networks of fold {', '.join(map(str, missing))} are not here")
        return []
    return units


def _calibrate(
    request: Request, unit: units_lib.Unit, units: list[units_lib.Unit], examples: Artifact, context: RunContext
) -> Artifact:
    return FoldCalibrator(
        request.config.calibrator,
        fit_config=unit.config,
        answers=pd.concat([other.rows for other in units], ignore_index=True),
        fit=Artifact.read(unit.directory(context)),
        examples=examples,
    ).run(context)


def _other_dataset(config: PipelineConfig, context: RunContext, *, report: Callable[[str], None]) -> Component | None:
    """The images of the other public dataset, where they are at hand."""
    name = _OTHER_DATASET.get(config.example_gen.dataset)
    if name is None:
        return None
    component = ExampleGen(dataclasses.replace(config.example_gen, dataset=name))
    try:
        component.run(context)
    except (StageError, ValueError, OSError) as error:
        report(f"{name}: not shown as a stranger, it is not at hand ({error})")
        return None
    return component
