"""Evaluator: how good the exported model is, overall and by slice, and whether that is good enough."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from pipelines.components.quality_pass import measure_quality, read_bins
from pipelines.orchestration.artifacts import Artifact, digest_directory
from pipelines.orchestration.component import Component, RunContext, StageError
from sperm_tf.config import QUALITY_FIGURES, EvaluatorConfig
from sperm_tf.data import examples
from sperm_tf.evaluation.tfma.baseline import LATEST_PUSHED, Baseline, newest_pushed

SPLIT = "test"
NO_BASELINE = "none"


class Evaluator(Component):
    """Evaluates the SavedModel on the test split and writes the Blessing.

    Layout: `eval_result/` (TFMA's files, for `tfma.load_eval_result`), `predictions.csv` (one row an image),
    `metrics.json` (every figure with its intervals), `validation.json` (each check) and an empty file `BLESSED` or
    `NOT_BLESSED`. A model without the Blessing is no error here; the Pusher refuses it.

    Args:
        config: thresholds, slices and baseline.
        serving_model_dir: `<serving_base>/<model_name>`, where pushed versions lie.
        **inputs: `examples` from ExampleGen and `model` from Calibrator.
    """

    config: EvaluatorConfig
    version = 5  # TFMA's output has no files for plots and attributions, of which there are none

    def __init__(self, config: EvaluatorConfig, *, serving_model_dir: pathlib.Path, **inputs: Any):
        super().__init__(config, **inputs)
        self._serving_model_dir = pathlib.Path(serving_model_dir)
        _check_config(config)

    def external_inputs(self, inputs: Mapping[str, Artifact], context: RunContext) -> dict[str, Any]:
        """Identifies the baseline by its content, so that pushing the candidate itself changes nothing."""
        del context
        return {"baseline_digest": self._find_baseline(inputs).digest}

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Runs TFMA once, then derives everything else from its output."""
        from sperm_tf.evaluation.metrics import predictions, summary, uncertainty
        from sperm_tf.evaluation.tfma import analysis, quality_slices, validation

        folder = inputs["examples"].directory
        saved_model = inputs["model"].directory / "saved_model"
        class_names = _class_names(inputs)
        shards = examples.shard_paths(folder, SPLIT)
        baseline = self._find_baseline(inputs)
        models = {analysis.CANDIDATE: saved_model}
        if baseline.path:
            models[analysis.BASELINE] = baseline.path
            if self.config.baseline != LATEST_PUSHED:
                _check_baseline(baseline.path, shards, class_names)
        answers_dir = context.work_dir / "answers"
        shutil.rmtree(answers_dir, ignore_errors=True)  # of a run that was killed
        answers_dir.mkdir()
        quality = [name for name in self.config.slice_by if name in QUALITY_FIGURES]
        quality_dir = context.work_dir / "quality"
        measured = measure_quality(context.beam_pipeline(), shards, quality_dir) if quality else []
        edges = quality_slices.find_edges(measured, quality)
        eval_config = analysis.make_eval_config(
            num_classes=len(class_names),
            slice_by=self.config.slice_by,
            min_accuracy=self.config.min_accuracy,
            min_macro_f1=self.config.min_macro_f1,
            max_accuracy_drop=self.config.max_accuracy_drop if baseline.path else None,
        )
        rows = analysis.analyze(
            context.beam_pipeline(),
            eval_config,
            shards=shards,
            models=models,
            output=output / "eval_result",
            answers_dir=answers_dir,
            further=read_bins(quality_dir, edges) if quality else None,
        )
        features = [feature for feature in self.config.slice_by if feature != "label_name"]
        table = predictions.from_rows(rows, class_names=class_names, split=SPLIT, features=features)
        predictions.write_csv(table, output / "predictions.csv")
        figures = summary.summarize(
            table, bootstrap_samples=self.config.bootstrap_samples, slice_by=self.config.slice_by
        )
        figures["quality_edges"] = edges
        trust = uncertainty.describe_trust(table, bootstrap_samples=self.config.bootstrap_samples)
        figures["trust"] = trust
        _write_json(output / "metrics.json", figures)
        verdict = validation.read_checks(output / "eval_result", eval_config)
        found = {"path": str(baseline.path), "digest": baseline.digest} if baseline.path else None
        verdict["baseline"] = {"model": found, "configured": self.config.baseline, "reason": baseline.reason}
        _write_json(output / "validation.json", verdict)
        (output / ("BLESSED" if verdict["blessed"] else "NOT_BLESSED")).touch()
        return {
            "accuracy": figures["accuracy"]["value"],
            "macro_f1": figures["macro_f1"]["value"],
            "num_examples": figures["num_examples"],
            "num_unanswered": len(figures["unanswered"]),
            "num_accepted": trust["selection"]["num_accepted"] if trust else 0,
            "blessed": verdict["blessed"],
        }

    def _find_baseline(self, inputs: Mapping[str, Artifact]) -> Baseline:
        if self.config.baseline == NO_BASELINE:
            return Baseline(None, "", "the configuration asks for no baseline")
        if self.config.baseline == LATEST_PUSHED:
            return newest_pushed(
                self._serving_model_dir,
                model_digest=inputs["model"].digest,
                examples_digest=inputs["examples"].digest,
            )
        path = pathlib.Path(self.config.baseline)
        return Baseline(path, digest_directory(path), "the configuration names it")


def _check_config(config: EvaluatorConfig) -> None:
    known = sorted({*examples.BYTES_FEATURES, *examples.INT_FEATURES, *QUALITY_FIGURES} - {"image"})
    unknown = [name for name in config.slice_by if name not in known]
    if unknown:
        raise ValueError(
            f"slice_by must hold features of the examples or figures of quality. Received: slice_by={config.slice_by}. "
            f"Choose from: {', '.join(known)}."
        )
    named = config.baseline not in (LATEST_PUSHED, NO_BASELINE)
    if named and not (pathlib.Path(config.baseline) / "saved_model.pb").is_file():
        raise ValueError(
            f"baseline must be {LATEST_PUSHED!r}, {NO_BASELINE!r} or a SavedModel directory. "
            f"Received: baseline={config.baseline!r}. Name the directory that holds saved_model.pb."
        )


def _class_names(inputs: Mapping[str, Artifact]) -> list[str]:
    """Class names by label, on which examples and model must agree."""
    of_examples = examples.read_dataset_info(inputs["examples"].directory)["class_names"]
    of_model = json.loads((inputs["model"].directory / "model.json").read_text(encoding="utf-8"))["class_names"]
    if of_examples != of_model:
        raise StageError(
            f"The model must know the classes of the examples. Received: model={of_model}, examples={of_examples}. "
            f"Evaluate it on examples of the dataset it was trained on."
        )
    return of_examples


def _check_baseline(path: pathlib.Path, shards: list[pathlib.Path], class_names: list[str]) -> None:
    """Calls the baseline once, so that another kind of model is refused with a clear message."""
    import tensorflow as tf

    from sperm_tf.evaluation.tfma import analysis

    serialized = next(iter(examples.read_serialized(shards).take(1)))
    try:
        answer = tf.saved_model.load(str(path)).signatures[analysis.SIGNATURE](serialized[None])
        names = [name.decode() for name in answer["class_names"].numpy()[0]]
    except Exception as error:  # anything a foreign SavedModel may raise
        raise StageError(
            f"baseline must be a SavedModel with the signature {analysis.SIGNATURE!r} of sperm_tf. "
            f"Received: baseline={path} ({type(error).__name__}: {error}). Name another one, or {NO_BASELINE!r}."
        ) from error
    if names != class_names:
        raise StageError(
            f"baseline must answer the classes {class_names}. Received: baseline={path}, which answers {names}. "
            f"Name another one, or {NO_BASELINE!r}."
        )


def _write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
