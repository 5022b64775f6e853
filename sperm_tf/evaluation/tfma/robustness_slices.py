"""The same predictions under TensorFlow Model Analysis, sliced by corruption, severity and quality.

TFMA computes from the answers; no model is asked. So whoever knows `tfma.load_eval_result` finds there what
`sperm_tf.evaluation.robustness.corruption_metrics` says about accuracy, with macro F1, AUC and confusion matrices
beside it.
"""

from __future__ import annotations

import pathlib

import apache_beam as beam
import pandas as pd
import pyarrow as pa
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2
from tfx_bsl.arrow import table_util

from sperm_tf.evaluation.metrics.predictions import Predictions
from sperm_tf.evaluation.tfma import analysis

SLICES = (("corruption",), ("severity",), ("quality_bin",), ("corruption", "severity"))


def analyze_answers(pipeline: beam.Pipeline, answers: Predictions, output: pathlib.Path) -> None:
    """Runs TFMA over predictions.

    Args:
        pipeline: empty Beam pipeline; it is run here. (`tfma.analyze_raw_data` would start one of its own.)
        answers: with the features that `SLICES` names, all of them strings to TFMA.
        output: receives TFMA's files, for `tfma.load_eval_result`.
    """
    eval_config = analysis.make_eval_config(
        num_classes=len(answers.class_names), slice_by=(), min_accuracy=0.0, min_macro_f1=0.0, max_accuracy_drop=None
    )
    eval_config.slicing_specs.extend(config_pb2.SlicingSpec(feature_keys=list(features)) for features in SLICES)
    columns = {name: answers.features[name] for name in dict.fromkeys(sum(SLICES, ()))}
    table = pd.DataFrame({"label": answers.labels, "probabilities": list(answers.probabilities), **columns})
    batch = table_util.CanonicalizeRecordBatch(pa.RecordBatch.from_pandas(table))
    with analysis.quiet(), pipeline:
        _ = (
            pipeline
            | beam.Create([batch])
            | tfma.ExtractEvaluateAndWriteResults(eval_config=eval_config, output_path=str(output))
        )
