"""What the page says, in plain words, and never surer than the model is."""

from __future__ import annotations

import dataclasses
import math

from sperm_tf.data import preprocess
from sperm_tf.decision.rule import DecisionRule
from sperm_tf.report.text import listing, percent, promised_percent
from sperm_tf.served_names import (
    ACCEPT,
    CONFIDENT,
    EMPTY,
    NO_GUARANTEE,
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
_PROBLEMS = {
    UNREADABLE: "The file could not be opened. Is it still there, and may it be read?",
    EMPTY: "The file is empty. Copy it again from where it came from.",
    UNKNOWN_FORMAT: "Not a PNG, JPEG, BMP or GIF image. Convert it to PNG, TIFF files too.",
    TOO_SMALL: f"A side is shorter than {preprocess.MIN_SIDE} pixels. Crop less tightly.",
    TOO_LARGE: "The image is larger than a crop may be (25 million pixels). Crop it to one cell.",
    UNDECODABLE: "The file is damaged or incomplete, or of a rare variant. Export it again, best as PNG.",
}


@dataclasses.dataclass(frozen=True)
class Words:
    """How one answer is put.

    Attributes:
        title: what to do with it.
        reason: why.
        answer: what the predicted class is called.
        alternatives: the other classes that the image may belong to.
        scale: what the probabilities are worth.
    """

    title: str
    reason: str
    answer: str
    alternatives: str
    scale: str


def describe_problem(status: str) -> str:
    """Why a file has no answer, and what helps."""
    return _PROBLEMS[status]


def describe(prediction: Prediction, rule: DecisionRule | None) -> Words:
    """Puts an answer into words.

    Args:
        prediction: with the status ok.
        rule: of the model that gave it.
    """
    is_accepted = prediction.decision == ACCEPT
    return Words(
        title="The model accepts its own answer" if is_accepted else "Please look yourself",
        reason=_describe_reason(prediction, rule),
        answer="Model’s answer" if is_accepted else "Model’s guess",
        alternatives=_describe_alternatives(prediction, rule),
        scale="Probabilities, not calibrated" if rule is None else "Probabilities, calibrated",
    )


def _describe_reason(prediction: Prediction, rule: DecisionRule | None) -> str:
    highest = max(prediction.probabilities.values())
    if rule is None:
        return (
            "Nobody has calibrated this model. What its probabilities are worth is not known, so it refers every image "
            "to a person."
        )
    if prediction.reason == CONFIDENT:
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
    return (
        f"The model is not sure enough: its highest probability is {percent(math.floor(1000 * highest) / 1000)}, and "
        f"its rule asks for {percent(math.ceil(1000 * rule.min_confidence) / 1000)}."
    )


def _describe_alternatives(prediction: Prediction, rule: DecisionRule | None) -> str:
    others = [name for name in prediction.prediction_set if name != prediction.predicted_class]
    if rule is None:
        return "Could also be any other class: nothing is known about how often it is right."
    if not others:
        return "Its prediction set holds no other class. That does not make it right."
    return f"Could also be: {listing(others)}."
