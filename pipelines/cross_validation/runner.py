"""Runs a cross-validation: trains the fits that are missing, and publishes what is finished."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
from collections.abc import Callable

import apache_beam as beam
import filelock

from pipelines.cross_validation import jobs as units_lib
from pipelines.cross_validation import recipes
from pipelines.cross_validation import report as cross_validation_report
from pipelines.cross_validation.final_calibrator import FinalCalibrator
from pipelines.cross_validation.final_fit import FinalFit
from pipelines.cross_validation.fit import Fit
from pipelines.cross_validation.fits import partition_of, read_table
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext, StageError
from sperm_tf.config import FitConfig, PipelineConfig
from sperm_tf.data.image_table import ImageTable
from sperm_tf.evaluation.cross_validation import fits_file, oof, oof_file
from sperm_tf.models.classifier import build_classifier
from sperm_tf.schemas.cross_validation import FitEntry

EXIT_INCOMPLETE = 3
_ONE_AT_A_TIME = threading.Lock()  # in a process: Keras keeps its seeds, session and precision for all threads


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


def run(request: Request, *, report: Callable[[str], None] = print) -> int:
    """Runs what is missing, and publishes what is finished.

    Args:
        request: what to do.
        report: receives lines for people.

    Returns:
        0 when every fit is finished or nothing was to be run, else `EXIT_INCOMPLETE`.
    """
    context = RunContext(pathlib.Path(request.config.pipeline_root).resolve(), request.beam_args)
    context.check_runner()
    examples = units_lib.transformed_examples(request.config, context)
    table = read_table(examples.directory)
    dataset = request.config.example_gen.dataset
    results_dir = (request.results_dir or units_lib.default_results_dir(dataset, context)) / dataset
    units = units_lib.plan(request.config.trainer, request.models, range(request.repeats), examples, context)
    units_lib.recall(units, context, results_dir)
    if request.import_from is not None:
        from pipelines.cross_validation import exchange

        num_taken = exchange.take_in(request.import_from, units, table)
        report(f"{num_taken} of {len(units)} fits taken in from {request.import_from}.")
    missing = [unit for unit in units if unit.rows is None]
    _check(request, units, results_dir, table)
    if request.dry_run:
        for unit in units:
            report(f"{'run' if unit.rows is None else 'reuse':<6} {unit.name}")
        return 0
    if request.plan_dir is not None:
        from pipelines.cross_validation import exchange

        exchange.write_plan(request.plan_dir, missing, table)
        report(f"{len(missing)} fits for another machine: {request.plan_dir}")
        return 0
    if request.training and missing:
        report(f"{len(units) - len(missing)} of {len(units)} fits are finished; training {len(missing)}.")
        train(missing, examples, context)
        units_lib.recall(units, context, results_dir)
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
        if unit.summary is not None:
            report(f"{unit.name}: accuracy {unit.summary['test_accuracy']:.1%} on the test fold")
    report(f"Answers: {results_dir}")
    directory = context.pipeline_root / "CrossValidation"
    if page := cross_validation_report.write(directory, results_dir=results_dir, transformed=examples):
        report(f"Report: {page}")
    if missing:
        report(f"{len(missing)} of {len(units)} fits are missing; the same command trains them.")
        return EXIT_INCOMPLETE
    return 0


def _check(request: Request, units: list[units_lib.Unit], results_dir: pathlib.Path, table: ImageTable) -> None:
    """Refuses now what would be refused after hours of training."""
    _check_repeats(units, fits_file.read_json(results_dir / fits_file.FITS_FILE), results_dir)
    missing = [unit for unit in units if unit.rows is None and request.training]
    for unit in missing:
        partition_of(table, unit.config)
    for network in {unit.config.trainer.model for unit in missing}:
        build_classifier(network, num_classes=len(table.class_names), image_size=table.images.shape[1])
    if request.final:
        for model in request.models:
            FinalFit(FitConfig(recipes.trainer_for(request.config.trainer, model)))


def train(units: list[units_lib.Unit], examples: Artifact, context: RunContext) -> None:
    """Runs fits, spread by Beam; each is kept as soon as it is finished."""
    work = [(unit.config, str(examples.directory), str(context.pipeline_root)) for unit in units]
    with context.beam_pipeline() as pipeline:
        _ = pipeline | beam.Create(work) | beam.Reshuffle() | "Fit" >> beam.MapTuple(run_fit)


def run_fit(config: FitConfig, examples: str, pipeline_root: str) -> None:
    """Runs one fit in whichever process Beam chose."""
    print(f"{config.trainer.model.name}, repeat {config.repeat}, fold {config.fold} ...", flush=True)
    try:
        with _ONE_AT_A_TIME:
            Fit(config, examples=examples).run(RunContext(pathlib.Path(pipeline_root)))
    except ArithmeticError as error:  # Beam makes a new exception of the same type, which this one does not allow
        raise StageError(str(error)) from error


def publish(units: list[units_lib.Unit], results_dir: pathlib.Path, *, report: Callable[[str], None] = print) -> None:
    """Writes `<model>.csv` and `fits.json`; what is published of other models stays.

    Answers of another recipe, or on other images, stay too until every fit of their model is finished.

    Raises:
        ValueError: more repeats are published than the sweep has; they would be lost.
    """
    if not any(unit.rows is not None for unit in units):
        return
    results_dir.mkdir(parents=True, exist_ok=True)
    file = results_dir / fits_file.FITS_FILE
    with filelock.FileLock(file.with_name(f".{file.name}.lock")):  # another run may publish other models
        _publish(units, file, report)


def _publish(units: list[units_lib.Unit], file: pathlib.Path, report: Callable[[str], None]) -> None:
    published = fits_file.read_json(file)
    _check_repeats(units, published, file.parent)
    finished = [unit for unit in units if unit.rows is not None]
    models = {unit.config.trainer.model.name for unit in finished}
    for model in sorted(models):
        planned = {unit.fingerprint: unit for unit in units if unit.config.trainer.model.name == model}
        num_missing = sum(unit.rows is None for unit in planned.values())
        if num_missing and any(fit["model"] == model and fit["fingerprint"] not in planned for fit in published):
            report(
                f"{model}: the answers of an earlier recipe stay published until {num_missing} more fits are finished."
            )
            models.remove(model)
    recipes_now = {unit.fingerprint for unit in finished}
    # Until the new answers are written, nothing says that they are another recipe's.
    fits_file.write_json(
        [fit for fit in published if fit["model"] not in models or fit["fingerprint"] in recipes_now], file
    )
    entries = [fit for fit in published if fit["model"] not in models]
    for model in sorted(models):
        own = [unit for unit in finished if unit.config.trainer.model.name == model]
        oof_file.write_csv(oof.join(unit.rows for unit in own), file.with_name(f"{model}.csv"), complete=False)
        entries += [{**unit.summary, "fingerprint": unit.fingerprint} for unit in own if unit.summary is not None]
    fits_file.write_json(entries, file)


def _check_repeats(units: list[units_lib.Unit], published: list[FitEntry], results_dir: pathlib.Path) -> None:
    repeats, models = 1 + max(unit.config.repeat for unit in units), {unit.config.trainer.model.name for unit in units}
    lost = [fit for fit in published if fit["model"] in models and fit["repeat"] >= repeats]
    if lost:
        raise ValueError(
            f"--repeats must be at least {1 + max(fit['repeat'] for fit in lost)}, as published in {results_dir} for "
            f"{lost[0]['model']}. Received: --repeats={repeats}. Ask for as many, or name another --results_dir."
        )
