"""The classifier as one graph from pixels to decisions: the network, its views, the decision rule and the OOD score."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from sperm_tf.decision import rule as rule_lib
from sperm_tf.models.classifier import LOGITS
from sperm_tf.models.views import FEATURES, build_answering_model

INPUT = "pixels"


def build_graph(model: keras.Model, *, views: int, rule: rule_lib.DecisionRule | None) -> tf.Module:
    """A module whose function `answer` has what a runtime computes.

    Args:
        model: of `sperm_tf.models.classifier.build_classifier`; its outputs are logits.
        views: 1 or 8, see `sperm_tf.models.views`.
        rule: None refers every image as `not_calibrated`.

    Returns:
        A module to be saved. Its `answer` takes uint8 [B, S, S, 3], RGB, 0-255, and returns `probabilities`, float32
        [B, C]; `prediction_set`, bool [B, C]; `reason`, int32 [B]; `unfamiliarity`, float32 [B], as
        `sperm_tf.decision.rule.Decisions` has them.
    """
    answering = build_answering_model(model, views=views)
    side = model.input_shape[1]

    def answer(pixels: tf.Tensor) -> dict[str, Any]:
        answers = answering(tf.cast(pixels, tf.float32), training=False)
        return vars(rule_lib.decide(rule, answers[LOGITS], answers[FEATURES]))

    module = tf.Module()
    module.model = answering  # keeps its variables
    module.answer = tf.function(
        answer, input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8, name=INPUT)], autograph=False
    )
    return module
