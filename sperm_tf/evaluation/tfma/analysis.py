"""One pass of TensorFlow Model Analysis over a split, and every prediction the model gave on the way.

TFMA queries the SavedModel's `serving_examples` signature, so what is evaluated is what is served, preprocessing
included. The predictions are a second output of the same Beam pipeline: no image is predicted twice.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import absl.logging
import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import wrappers_pb2
from tensorflow_model_analysis.evaluators import evaluator
from tensorflow_model_analysis.extractors import extractor, predictions_extractor
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.writers import metrics_plots_and_validations_writer, writer
from tfx_bsl.tfxio import tf_example_record

from sperm_tf.served_names import DECISION_OUTPUTS, NOT_FINITE, OK, REFER, SERVING_EXAMPLES

CANDIDATE = "candidate"
BASELINE = "baseline"
SIGNATURE = SERVING_EXAMPLES
_ANSWERS = "answers"
_CLEAN_STAGE = "CleanAnswers"
_UNUSED_EXTRACTORS = ("ExtractTransformedFeatures",)  # the SavedModel's preprocessing is part of its signature
_OUTPUTS = (tfma.METRICS_KEY, tfma.VALIDATIONS_KEY)  # no metric is a plot or an attribution
_BATCH_SIZE = 32  # images in memory at once; TFMA's own choice grows to a thousand


def make_eval_config(
    *,
    num_classes: int,
    slice_by: Sequence[str],
    min_accuracy: float,
    min_macro_f1: float,
    max_accuracy_drop: float | None,
) -> config_pb2.EvalConfig:
    """What TFMA computes and what it demands, both by argmax; see `tfma_metrics`.

    The thresholds hold for the whole split, not for its slices (TFMA's plain `threshold` would hold for each slice).
    TFMA computes no intervals (docs/decisions/evaluation.md).

    Args:
        num_classes: number of classes.
        slice_by: features, of the examples or further ones, whose values are reported apart.
        min_accuracy: lowest accuracy that passes, 0-1.
        min_macro_f1: lowest macro F1 that passes, 0-1.
        max_accuracy_drop: largest fall below the baseline's accuracy that passes, absolute; None for no baseline.
    """
    lowest = {"accuracy": min_accuracy, "macro_f1": min_macro_f1}
    thresholds = {
        name: config_pb2.MetricThreshold(
            value_threshold=config_pb2.GenericValueThreshold(lower_bound=wrappers_pb2.DoubleValue(value=value))
        )
        for name, value in lowest.items()
    }
    if max_accuracy_drop is not None:
        # A fall by exactly the tolerated amount passes, whatever the last bit of the difference says.
        absolute = wrappers_pb2.DoubleValue(value=-max_accuracy_drop - 1e-9)
        change = config_pb2.GenericChangeThreshold(
            absolute=absolute, direction=config_pb2.MetricDirection.HIGHER_IS_BETTER
        )
        thresholds["accuracy"].change_threshold.CopyFrom(change)
    overall = config_pb2.SlicingSpec()
    metrics_spec = config_pb2.MetricsSpec(
        metrics=[
            config_pb2.MetricConfig(class_name="ExampleCount"),
            config_pb2.MetricConfig(
                class_name="ClassificationMetrics",
                module="sperm_tf.evaluation.tfma.tfma_metrics",
                config=json.dumps({"num_classes": num_classes}),
            ),
            config_pb2.MetricConfig(
                class_name="MultiClassConfusionMatrixAtThresholds", config=json.dumps({"thresholds": [0.0]})
            ),
        ],
        per_slice_thresholds={
            name: config_pb2.PerSliceMetricThresholds(
                thresholds=[config_pb2.PerSliceMetricThreshold(slicing_specs=[overall], threshold=threshold)]
            )
            for name, threshold in thresholds.items()
        },
    )
    names = [CANDIDATE] if max_accuracy_drop is None else [CANDIDATE, BASELINE]
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                name=name,
                signature_name=SIGNATURE,
                label_key="label",
                prediction_key="probabilities",
                is_baseline=name == BASELINE,
            )
            for name in names
        ],
        slicing_specs=[overall, *(config_pb2.SlicingSpec(feature_keys=[feature]) for feature in slice_by)],
        metrics_specs=[metrics_spec],
    )


def analyze(
    pipeline: beam.Pipeline,
    eval_config: config_pb2.EvalConfig,
    *,
    shards: Sequence[pathlib.Path],
    models: dict[str, pathlib.Path],
    output: pathlib.Path,
    answers_dir: pathlib.Path,
    further: beam.PTransform | None = None,
) -> list[dict[str, Any]]:
    """Runs the pipeline.

    Args:
        pipeline: empty Beam pipeline; it is run here.
        eval_config: from `make_eval_config`.
        shards: TFRecord files of the split.
        models: `candidate` and, when the config compares, `baseline` -> SavedModel directory.
        output: receives TFMA's files, for `tfma.load_eval_result`.
        answers_dir: empty directory for what the workers write.
        further: from a pipeline to pairs of `image_id` and name -> value, for every example; these are features, too,
            and the config may slice by them.

    Returns:
        The candidate's answers, one dictionary an example, in no particular order: `image_id`, `group_id`, `label`,
        `status`, `probabilities`, those of `DECISION_OUTPUTS` that the model answers, and the features that
        the config slices by.
    """
    shared_models = [
        tfma.default_eval_shared_model(
            eval_saved_model_path=str(path),
            eval_config=eval_config,
            model_name=name,
            tags=[tf.saved_model.SERVING],
        )
        for name, path in models.items()
    ]
    source = tf_example_record.TFExampleRecord(
        file_pattern=[str(path) for path in shards],
        raw_record_column_name=tfma.ARROW_INPUT_COLUMN,
        telemetry_descriptors=["sperm_tf"],
    )
    features = [key for spec in eval_config.slicing_specs for key in spec.feature_keys]
    extractors = [
        one
        for one in tfma.default_extractors(eval_shared_model=shared_models, eval_config=eval_config)
        if one.stage_name not in _UNUSED_EXTRACTORS
    ]
    stages = [stage.stage_name for stage in extractors]
    after_predictions = stages.index(predictions_extractor.PREDICTIONS_EXTRACTOR_STAGE_NAME) + 1
    added: Any = beam.pvalue.AsDict(pipeline | "FurtherFeatures" >> further) if further is not None else {}
    extractors.insert(after_predictions, extractor.Extractor(_CLEAN_STAGE, beam.Map(_clean, sorted(models), added)))
    evaluators = tfma.default_evaluators(eval_shared_model=shared_models, eval_config=eval_config)
    evaluators.append(evaluator.Evaluator(_ANSWERS, _CLEAN_STAGE, _Answers(features, compared=len(models) > 1)))
    config_writer, _ = tfma.default_writers(
        str(output),
        eval_shared_model=shared_models,
        eval_config=eval_config,
        display_only_data_location=str(shards[0].parent),
        display_only_data_file_format="tfrecords",
    )
    metrics_writer = metrics_plots_and_validations_writer.MetricsPlotsAndValidationsWriter(
        output_paths={key: str(output / key) for key in _OUTPUTS}, eval_config=eval_config
    )
    answers_writer = writer.Writer("WriteAnswers", _WriteAnswers(str(answers_dir / "part")))
    with quiet(), pipeline:
        _ = (
            pipeline
            | "ReadExamples" >> source.BeamSource(batch_size=_BATCH_SIZE)
            | "Analyze"
            >> tfma.ExtractEvaluateAndWriteResults(
                eval_shared_model=shared_models,
                eval_config=eval_config,
                extractors=extractors,
                evaluators=evaluators,
                writers=[config_writer, metrics_writer, answers_writer],
                output_path=str(output),
            )
        )
    parts = sorted(answers_dir.glob("part*"))
    return [json.loads(line) for part in parts for line in part.read_text(encoding="utf-8").splitlines()]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TFMA's and TensorFlow's deprecation notices out of the terminal; errors still appear."""
    verbosity, tf_level = absl.logging.get_verbosity(), tf.get_logger().level
    absl.logging.set_verbosity(absl.logging.ERROR)
    tf.get_logger().setLevel("ERROR")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        absl.logging.set_verbosity(verbosity)
        tf.get_logger().setLevel(tf_level)


def _clean(extracts: dict[str, Any], model_names: list[str], added: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Reduces a batch to what is evaluated: no images, further features, and zeroes for what is no prediction."""
    answers = extracts[tfma.PREDICTIONS_KEY]
    if len(model_names) == 1:
        answers = _clean_answers(answers)
    else:
        answers = {name: _clean_answers(answers[name]) for name in model_names}
    features = {name: values for name, values in extracts[tfma.FEATURES_KEY].items() if name != "image"}
    if added:
        rows = [added[image_id.decode()] for image_id in np.ravel(features["image_id"])]
        features |= {name: np.array([[row[name].encode()] for row in rows], object) for name in rows[0]}
    kept = {key: value for key, value in extracts.items() if key not in (tfma.INPUT_KEY, tfma.ARROW_RECORD_BATCH_KEY)}
    return {**kept, tfma.FEATURES_KEY: features, tfma.PREDICTIONS_KEY: answers}


def _clean_answers(answers: dict[str, Any]) -> dict[str, Any]:
    probabilities = np.asarray(answers["probabilities"], np.float32)
    statuses = np.asarray(answers["status"], object).reshape(-1)
    finite = np.isfinite(probabilities).all(axis=1)
    statuses = np.where(~finite & (statuses == OK.encode()), NOT_FINITE.encode(), statuses)
    answered = statuses == OK.encode()
    decided = {name: np.asarray(answers[name]) for name in DECISION_OUTPUTS if name in answers}
    if "decision" in decided:
        decisions = decided["decision"].reshape(-1)
        decided["decision"] = np.where(answered, decisions, REFER.encode())  # of what is not finite, whatever it says
    return {"probabilities": np.where(answered[:, None], probabilities, 0), "status": statuses, **decided}


class _Answers(beam.PTransform):
    """The candidate's predictions as JSON lines."""

    def __init__(self, features: Sequence[str], *, compared: bool):
        super().__init__()
        self._features = list(features)
        self._compared = compared

    def expand(self, extracts: beam.PCollection) -> dict[str, beam.PCollection]:
        return {_ANSWERS: extracts | beam.FlatMap(_to_lines, self._features, self._compared)}


def _to_lines(extracts: dict[str, Any], features: list[str], compared: bool) -> Iterator[str]:
    answers = extracts[tfma.PREDICTIONS_KEY][CANDIDATE] if compared else extracts[tfma.PREDICTIONS_KEY]
    names = ["image_id", "group_id", "label", *features]
    columns = {name: np.ravel(extracts[tfma.FEATURES_KEY][name]) for name in names}
    for index, status in enumerate(answers["status"]):
        row = {name: _to_plain(values[index]) for name, values in columns.items()}
        decided = {name: _to_plain(answers[name][index]) for name in DECISION_OUTPUTS if name in answers}
        probabilities = answers["probabilities"][index].tolist()
        yield json.dumps({**row, "status": status.decode(), "probabilities": probabilities, **decided})


def _to_plain(value: Any) -> Any:
    """A string, a number, or a list of numbers."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.item()
    return value.decode() if isinstance(value, bytes) else value.tolist()


class _WriteAnswers(beam.PTransform):
    """Writes the JSON lines; the other outputs of the evaluation are TFMA's writers' business."""

    def __init__(self, prefix: str):
        super().__init__()
        self._prefix = prefix

    def expand(self, evaluation: dict[str, beam.PCollection]) -> beam.PCollection:
        return evaluation[_ANSWERS] | beam.io.WriteToText(self._prefix)
