"""What the page says, in plain words, and never surer than the model is."""

from __future__ import annotations

import dataclasses
import math

from sperm_tf.data.decode import MIN_SIDE
from sperm_tf.decision.rule import DecisionRule
from sperm_tf.report.text import percent, promised_percent
from sperm_tf.review.items import CHANGED
from sperm_tf.served_names import (
    ACCEPT,
    CONFIDENT,
    EMPTY,
    FIELD_OF_VIEW,
    NO_GUARANTEE,
    NOT_CALIBRATED,
    TOO_LARGE,
    TOO_SMALL,
    UNDECODABLE,
    UNFAMILIAR,
    UNKNOWN_FORMAT,
    UNREADABLE,
)
from sperm_tf.serving.prediction import Prediction

NOTICE = (
    "Research software, not a medical device. It makes no diagnosis. The model can be wrong wherever it sounds sure: a "
    "qualified person decides."
)
KEYS = "Click, or press the key before the dot; arrow keys go back and on, C writes a comment."
_PROBLEMS = {
    UNREADABLE: "The file could not be opened. Is it still there, and may it be read?",
    CHANGED: (
        "The image is no longer where it was when it was scored, or its file has changed since. It stays referred. Say "
        "where the images are with --images, or score again."
    ),
    FIELD_OF_VIEW: "A whole field of view, no crop of one cell. python -m pipelines.fields finds its cells.",
    EMPTY: "The file is empty. Copy it again from where it came from.",
    UNKNOWN_FORMAT: "No image of a known format, or one of several planes. Save the crop as PNG.",
    TOO_SMALL: f"A side is shorter than {MIN_SIDE} pixels. Crop less tightly.",
    TOO_LARGE: "The image is larger than a crop may be (25 million pixels). Crop it to one cell.",
    UNDECODABLE: "The file is damaged or incomplete, or of a rare variant. Export it again, best as PNG.",
}


@dataclasses.dataclass(frozen=True)
class Words:
    """Words for one prediction.

    Attributes:
        title: what to do with it.
        reason: why.
        answer: what the predicted class is called.
        runner_up: the class with the second highest probability, for a referred image; empty for an accepted one.
        prediction_set: what the prediction set is.
        scale: what the probabilities are worth.
    """

    title: str
    reason: str
    answer: str
    runner_up: str
    prediction_set: str
    scale: str


def describe_problem(status: str) -> str:
    """Why a file has no prediction, and what helps."""
    return _PROBLEMS[status]


def describe(prediction: Prediction, rule: DecisionRule | None) -> Words:
    """Puts a prediction into words.

    Args:
        prediction: with the status ok.
        rule: of the model that gave it; None where it has none, or where it is not known.
    """
    is_accepted = prediction.decision == ACCEPT
    is_calibrated = prediction.reason != NOT_CALIBRATED
    others = {name: value for name, value in prediction.probabilities.items() if name != prediction.predicted_class}
    runner_up = "" if is_accepted else max(others, key=others.__getitem__, default="")
    return Words(
        title="The model accepts its own answer" if is_accepted else "Please look yourself",
        reason=_describe_reason(prediction, rule),
        answer="Model’s answer" if is_accepted else "Model’s guess",
        runner_up=runner_up,
        prediction_set=_describe_set(prediction, rule),
        scale="Probabilities, calibrated" if is_calibrated else "Probabilities, not calibrated",
    )


def _describe_reason(prediction: Prediction, rule: DecisionRule | None) -> str:
    highest = max(prediction.probabilities.values())
    if prediction.reason == NOT_CALIBRATED:
        return (
            "Nobody has calibrated this model. What its probabilities are worth is not known, so it refers every image "
            "to a person."
        )
    if prediction.reason == CONFIDENT:
        if rule is None:
            return "Its rule is not at hand: how many accepted predictions are wrong is not known here."
        return (
            f"Its rule is made so that at most {promised_percent(rule.max_risk)} of the accepted answers are wrong, on "
            "images like those that it was calibrated with, in the same mix of classes. This can be one of them."
        )
    if prediction.reason == UNFAMILIAR:
        return (
            "The image is unlike those that the model learnt from: another microscope, another stain, far less "
            "contrast, or no cell at all. Its probabilities may mean nothing here."
        )
    if prediction.reason == NO_GUARANTEE:
        return (
            "The images that this model was calibrated with were too few, or too often answered wrongly, to guarantee "
            "anything. It refers every image to a person."
        )
    if rule is None:
        return f"The model is not sure enough: its highest probability is {percent(math.floor(1000 * highest) / 1000)}."
    return (
        f"The model is not sure enough: its highest probability is {percent(math.floor(1000 * highest) / 1000)}, and "
        f"its rule asks for {percent(math.ceil(1000 * rule.min_confidence) / 1000)}."
    )


def _describe_set(prediction: Prediction, rule: DecisionRule | None) -> str:
    """One sentence on what a prediction set is, and on what this one is worth."""
    meaning = "The classes that the image may belong to"
    if prediction.reason == NOT_CALIBRATED:
        return f"{meaning}: all of them, since nothing is known about how often this model is right."
    if prediction.reason == UNFAMILIAR:
        return (
            f"{meaning}; nothing guarantees that the right one is among them: the image is unlike the training images."
        )
    if rule is None:
        return f"{meaning}; how often the right one is among them is not known here."
    scope = "of every class" if rule.class_conditional else "in the same mix of classes"
    return (
        f"{meaning}: on images like those that the model was calibrated with, {scope}, the right one is in the set at "
        f"least {promised_percent(rule.set_coverage)} of the time."
    )
