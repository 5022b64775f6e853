"""The fits of a cross-validation: which there are, which are missing, and what the finished ones say."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import apache_beam as beam

from pipelines import artifacts, cross_validation_report, graph, recipes
from pipelines.artifacts import Artifact
from pipelines.component import RunContext
from pipelines.components.final_calibrator import FinalCalibrator
from pipelines.components.final_fit import FinalFit
from pipelines.components.fit import Fit
from pipelines.fits import read_table
from sperm_tf.config import NUM_FOLDS, FitConfig, PipelineConfig
from sperm_tf.evaluation import fits_file, oof

EXIT_INCOMPLETE = 3
PUBLISHED = ("smids", "hushem")  # the datasets whose answers are part of this project


@dataclasses.dataclass(frozen=True)
class Request:
    """What the command line asks for; the fields are those of `pipelines.cross_validate`'s flags."""

    config: PipelineConfig
    beam_args: tuple[str, ...]
    models: tuple[str, ...]
    repeats: int
    results_dir: pathlib.Path | None
    training: bool
    final: bool
    plan_dir: pathlib.Path | None
    import_from: pathlib.Path | None
    dry_run: bool


@dataclasses.dataclass
class Unit:
    """One fit of the sweep.

    Attributes:
        config: what it is.
        fingerprint: what it is known by, here and in `fits.json`.
        rows: its answers as `sperm_tf.evaluation.oof` has them; None while it is not finished.
        summary: its entry in `fits.json`, without the fingerprint.
    """

    config: FitConfig
    fingerprint: str
    rows: Any = None
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.config.trainer.model.name}, repeat {self.config.repeat}, fold {self.config.fold}"


def run(request: Request, *, report: Callable[[str], None] = print) -> int:
    """Runs what is missing, and publishes what is finished.

    Args:
        request: what to do.
        report: receives lines for people.

    Returns:
        0 when every fit is finished or nothing was to be run, else `EXIT_INCOMPLETE`.
    """
    context = RunContext(pathlib.Path(request.config.pipeline_root).resolve(), request.beam_args)
    examples = transformed_examples(request.config, context)
    table = read_table(examples.directory)
    dataset = request.config.example_gen.dataset
    results_dir = (request.results_dir or _default_results_dir(dataset, context)) / dataset
    units = plan(request, examples, context)
    recall(units, context, results_dir)
    if request.import_from is not None:
        from pipelines import exchange

        exchange.take_in(request.import_from, units, table)
    missing = [unit for unit in units if unit.rows is None]
    if request.dry_run:
        for unit in units:
            report(f"{'run' if unit.rows is None else 'reuse':<6} {unit.name}")
        return 0
    if request.plan_dir is not None:
        from pipelines import exchange

        exchange.write_plan(request.plan_dir, missing, table)
        report(f"{len(missing)} fits for another machine: {request.plan_dir}")
        return 0
    if request.training and missing:
        report(f"{len(units) - len(missing)} of {len(units)} fits are finished; training {len(missing)}.")
        train(missing, examples, context)
        recall(units, context, results_dir)
        missing = [unit for unit in units if unit.rows is None]
    publish(units, results_dir, report=report)
    if request.final and not missing:
        for model in request.models:
            config = FitConfig(recipes.trainer_for(request.config.trainer, model))
            report(f"{model}, all images ...")
            calibrated = FinalCalibrator(
                request.config.calibrator,
                answers=results_dir / f"{model}.csv",
                model=FinalFit(config, examples=examples),
                examples=examples,
            )
            report(f"{model}, all images: {calibrated.run(context).directory}")
    for unit in units:
        if unit.rows is not None:
            report(f"{unit.name}: accuracy {unit.summary['test_accuracy']:.1%} on the test fold")
    report(f"Answers: {results_dir}")
    directory = context.pipeline_root / "CrossValidation"
    if page := cross_validation_report.write(directory, results_dir=results_dir, transformed=examples):
        report(f"Report: {page}")
    if missing:
        report(f"{len(missing)} of {len(units)} fits are missing; the same command trains them.")
        return EXIT_INCOMPLETE
    return 0


def transformed_examples(config: PipelineConfig, context: RunContext) -> Artifact:
    """The preprocessed images of the whole dataset: the pipeline up to Transform."""
    for component in graph.build(config):
        artifact = component.run(context)
        if component.name == "Transform":
            return artifact
    raise AssertionError("every pipeline has a Transform")


def plan(request: Request, examples: Artifact, context: RunContext) -> list[Unit]:
    """All fits of the sweep, by model, repeat and fold; none is recalled yet."""
    units = []
    for model in request.models:
        trainer = recipes.trainer_for(request.config.trainer, model)
        for repeat in range(request.repeats):
            for fold in range(NUM_FOLDS):
                config = FitConfig(trainer, repeat, fold)
                fields = Fit(config).fingerprint_fields({"examples": examples}, context)
                units.append(Unit(config, artifacts.fingerprint(fields)))
    return units


def recall(units: list[Unit], context: RunContext, results_dir: pathlib.Path) -> None:
    """Fills in the fits that are finished: from their artifacts, else from published answers."""
    recorded = {fit["fingerprint"]: fit for fit in fits_file.read_json(results_dir / "fits.json")}
    tables: dict[str, Any] = {}
    for unit in units:
        if unit.rows is not None:
            continue
        directory = context.pipeline_root / Fit.__name__ / unit.fingerprint[:16]
        if (directory / artifacts.ARTIFACT_FILE).is_file():
            unit.rows = oof.read_csv(directory / "predictions.csv", complete=False)
            unit.summary = json.loads((directory / "fit.json").read_text(encoding="utf-8"))
        elif unit.fingerprint in recorded:
            model = unit.config.trainer.model.name
            if model not in tables:
                tables[model] = oof.read_csv(results_dir / f"{model}.csv", complete=False)
            table = tables[model]
            rows = table[(table["repeat"] == unit.config.repeat) & (table["fold"] == unit.config.fold)]
            unit.rows = rows.reset_index(drop=True)
            unit.summary = {key: value for key, value in recorded[unit.fingerprint].items() if key != "fingerprint"}


def train(units: list[Unit], examples: Artifact, context: RunContext) -> None:
    """Runs fits, spread by Beam; each is kept as soon as it is finished."""
    work = [(unit.config, str(examples.directory), str(context.pipeline_root)) for unit in units]
    with context.beam_pipeline() as pipeline:
        _ = pipeline | beam.Create(work) | beam.Reshuffle() | "Fit" >> beam.MapTuple(run_fit)


def run_fit(config: FitConfig, examples: str, pipeline_root: str) -> None:
    """Runs one fit in whichever process Beam chose."""
    print(f"{config.trainer.model.name}, repeat {config.repeat}, fold {config.fold} ...", flush=True)
    Fit(config, examples=examples).run(RunContext(pathlib.Path(pipeline_root)))


def publish(units: list[Unit], results_dir: pathlib.Path, *, report: Callable[[str], None] = print) -> None:
    """Writes `<model>.csv` and `fits.json`; what is published of other models stays.

    Answers of another recipe, or on other images, stay too until every fit of their model is finished.

    Raises:
        ValueError: more repeats are published than the sweep has; they would be lost.
    """
    finished = [unit for unit in units if unit.rows is not None]
    if not finished:
        return
    results_dir.mkdir(parents=True, exist_ok=True)
    models = {unit.config.trainer.model.name for unit in finished}
    published = fits_file.read_json(results_dir / "fits.json")
    repeats = 1 + max(unit.config.repeat for unit in units)
    lost = [fit for fit in published if fit["model"] in models and fit["repeat"] >= repeats]
    if lost:
        raise ValueError(
            f"--repeats must be at least {1 + max(fit['repeat'] for fit in lost)}, as published in {results_dir} for "
            f"{lost[0]['model']}. Received: --repeats={repeats}. Ask for as many, or name another --results_dir."
        )
    for model in sorted(models):
        planned = {unit.fingerprint: unit for unit in units if unit.config.trainer.model.name == model}
        num_missing = sum(unit.rows is None for unit in planned.values())
        if num_missing and any(fit["model"] == model and fit["fingerprint"] not in planned for fit in published):
            report(
                f"{model}: the answers of an earlier recipe stay published until {num_missing} more fits are finished."
            )
            models.remove(model)
    entries = [fit for fit in published if fit["model"] not in models]
    for model in sorted(models):
        own = [unit for unit in finished if unit.config.trainer.model.name == model]
        oof.write_csv(oof.join(unit.rows for unit in own), results_dir / f"{model}.csv", complete=False)
        entries += [{**unit.summary, "fingerprint": unit.fingerprint} for unit in own]
    fits_file.write_json(entries, results_dir / "fits.json")


def _default_results_dir(dataset: str, context: RunContext) -> pathlib.Path:
    return pathlib.Path("docs/results") if dataset in PUBLISHED else context.pipeline_root / "results"
