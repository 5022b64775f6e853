"""CorruptionAnalysis: the predictions of all networks for corrupted images, under TensorFlow Model Analysis."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from pipelines.components.predictions_file import ANSWERS_FILE
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext


class CorruptionAnalysis(Component):
    """Slices the predictions by corruption, severity and quality, and by corruption and severity together.

    Layout: `eval_result/`, for `tfma.load_eval_result`.

    Args:
        config: None.
        **inputs: of every network, under any name, from CorruptionAudit.
    """

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Joins the predictions, and runs TFMA over them."""
        from sperm_tf.evaluation.metrics import predictions
        from sperm_tf.evaluation.tfma.robustness_slices import analyze_answers

        answers = predictions.join([predictions.read_csv(item.directory / ANSWERS_FILE) for item in inputs.values()])
        analyze_answers(context.beam_pipeline(), answers, output / "eval_result")
        return {"num_answers": len(answers)}
