"""The decision rule: from logits and features to calibrated predictions, and to accept or refer (abstain).

The same code runs in the served graph and in Python.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pathlib
from typing import Any

import numpy as np
from keras import ops

from sperm_tf.decision import conformal
from sperm_tf.decision.familiarity import Familiarity
from sperm_tf.served_names import CONFIDENT, NO_GUARANTEE, NOT_CALIBRATED, REASONS, UNCERTAIN, UNFAMILIAR

RULE_FILE, FAMILIARITY_FILE = "decision.json", "familiarity.npz"
_MODEL_DIGEST = "model_sha256"
_SLACK = 1e-6  # a probability's last bits differ between processors; an image at a threshold belongs to the set


@dataclasses.dataclass(frozen=True)
class Decisions:
    """Predictions for B images.

    Attributes:
        probabilities: float32 [B, C], calibrated, rows sum to 1.
        prediction_set: bool [B, C]; the most probable class always belongs to it.
        reason: int32 [B], index into `sperm_tf.served_names.REASONS`; 0 is accepted, all others are referred.
        unfamiliarity: float32 [B], OOD score: distance from the training images, lack of contrast or distance of the
            composition, whichever says most, in units of the highest that is accepted: above 1 the image is unlike
            them. Zeros where the rule knows nothing about it.
    """

    probabilities: Any
    prediction_set: Any
    reason: Any
    unfamiliarity: Any


@dataclasses.dataclass(frozen=True)
class DecisionRule:
    """What is fitted to the calibration images.

    Attributes:
        temperature: that the logits are divided by (`sperm_tf.decision.temperature`).
        set_method: `lac` or `aps` (`sperm_tf.decision.conformal`).
        set_thresholds: one for each class; infinity keeps the class in every set.
        set_coverage: share of sets, 0-1, that is promised to hold the true class.
        class_conditional: whether that promise holds for the images of every class, or on average over all.
        min_confidence: lowest probability of an accepted answer (`sperm_tf.decision.selective`); infinity where the
            calibration images are too few, or too often answered wrongly, to guarantee anything.
        max_risk: guaranteed highest share of wrong answers among the accepted ones.
        delta: probability with which that guarantee may fail.
        num_images: number of calibration images.
        familiarity: knows the training images; None leaves unfamiliar ones unnoticed.
        max_distance: highest distance from the training images that is accepted.
        max_faintness: how much less contrast than theirs is accepted, as a natural logarithm.
        max_composition: highest distance of the composition that is accepted; infinity where it is not measured.
        confusion: [C][C], number of calibration images by true class (rows) and answer (columns); empty where nobody
            counted them. It says which mix of classes the promises hold for, and what a slide's percentages are
            corrected by (`sperm_tf.evaluation.quantification.prevalence`).
        confident: [C][C], those of them whose answer reaches `min_confidence`; empty where nobody counted them. It says
            how many accepted answers of a slide are likely wrong.
    """

    temperature: float
    set_method: str
    set_thresholds: tuple[float, ...]
    set_coverage: float
    class_conditional: bool
    min_confidence: float
    max_risk: float
    delta: float
    num_images: int
    familiarity: Familiarity | None = None
    max_distance: float = math.inf
    max_faintness: float = math.inf
    max_composition: float = math.inf
    confusion: tuple[tuple[int, ...], ...] = ()
    confident: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        for limit in (self.max_distance, self.max_faintness):
            if (self.familiarity is None) != math.isinf(limit):
                raise ValueError(
                    "max_distance and max_faintness must be finite with a familiarity, and infinite without. Received: "
                    f"max_distance={self.max_distance}, max_faintness={self.max_faintness} and "
                    f"{'no' if self.familiarity is None else 'a'} familiarity. Copy both files, {RULE_FILE} and "
                    f"{FAMILIARITY_FILE}, or run the Calibrator again, if they come from an older version."
                )
        knows_composition = self.familiarity is not None and self.familiarity.composition is not None
        if knows_composition == math.isinf(self.max_composition):
            raise ValueError(
                "max_composition must be finite with a familiarity that knows the composition, and infinite without. "
                f"Received: max_composition={self.max_composition} and {'one' if knows_composition else 'none'} that "
                f"does. Copy both files, {RULE_FILE} and {FAMILIARITY_FILE}, of the same model."
            )

    def decide(self, logits: Any, features: Any) -> Decisions:
        """Applies the rule to a batch.

        Args:
            logits: float [B, C].
            features: float [B, D + P], see `sperm_tf.models.views.join_features`.

        Raises:
            ValueError: the rule is that of a model with another number of classes.
        """
        if logits.shape[-1] != len(self.set_thresholds):
            raise ValueError(
                f"logits must be [B, {len(self.set_thresholds)}], as the model's whose rule this is. Received: "
                f"shape={tuple(logits.shape)}. Take the {RULE_FILE} that lies beside this model."
            )
        probabilities = ops.softmax(ops.cast(logits, "float32") / self.temperature)
        thresholds = np.asarray(self.set_thresholds) + _SLACK
        prediction_set = ops.logical_or(
            conformal.prediction_sets(probabilities, thresholds, method=self.set_method), _is_highest(probabilities)
        )
        confidence = ops.max(probabilities, axis=1)
        unfamiliarity = ops.zeros_like(confidence)
        if self.familiarity is not None:
            limits = [self.max_distance, self.max_faintness, self.max_composition]
            measured = self.familiarity.measure(features)
            unfamiliarity = ops.max(measured / np.array(limits[: measured.shape[1]], np.float32), axis=1)
        doubt = NO_GUARANTEE if math.isinf(self.min_confidence) else UNCERTAIN
        is_confident = confidence >= self.min_confidence - _SLACK
        reason = ops.where(is_confident, REASONS.index(CONFIDENT), REASONS.index(doubt))
        reason = ops.where(unfamiliarity <= 1.0, reason, REASONS.index(UNFAMILIAR))  # NaN is unfamiliar
        return Decisions(probabilities, prediction_set, ops.cast(reason, "int32"), unfamiliarity)

    def write(self, folder: pathlib.Path, *, model: pathlib.Path | None = None) -> None:
        """Writes `RULE_FILE`, and `FAMILIARITY_FILE` where there is an OOD detector.

        Args:
            folder: it exists.
            model: file of the model whose rule this is, by whose content `read` knows it again.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del fields["familiarity"]
        if model is not None:
            fields[_MODEL_DIGEST] = _digest(model)
        content = json.dumps({name: _to_json(value) for name, value in fields.items()}, indent=2, allow_nan=False)
        (folder / RULE_FILE).write_text(content + "\n", encoding="utf-8")
        if self.familiarity is not None:
            self.familiarity.write(folder / FAMILIARITY_FILE)


def decide(rule: DecisionRule | None, logits: Any, features: Any) -> Decisions:
    """`DecisionRule.decide`; without a rule every set holds all classes, and a person has to look at each image.

    Args:
        rule: None for a model that nobody calibrated.
        logits: float [B, C].
        features: float [B, D + P].
    """
    if rule is not None:
        return rule.decide(logits, features)
    probabilities = ops.softmax(ops.cast(logits, "float32"))
    return Decisions(
        probabilities,
        ops.ones_like(probabilities, dtype="bool"),
        ops.full_like(probabilities[:, 0], REASONS.index(NOT_CALIBRATED), dtype="int32"),
        ops.zeros_like(probabilities[:, 0]),
    )


def read(folder: pathlib.Path, *, model: pathlib.Path | None = None) -> DecisionRule | None:
    """The rule that `DecisionRule.write` wrote; None where there is none.

    Args:
        folder: where it may be.
        model: file of the model that it is to decide for; None where the caller knows that they belong together.

    Raises:
        ValueError: its file is damaged, or it is the rule of another model.
    """
    file = folder / RULE_FILE
    if not file.is_file():
        return None
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        model_digest = fields.pop(_MODEL_DIGEST, None)
        thresholds = tuple(_from_json(value) for value in fields.pop("set_thresholds"))
        counts: dict[str, Any] = {
            name: tuple(tuple(map(int, row)) for row in fields.pop(name, ())) for name in ("confusion", "confident")
        }
        fields = {name: _from_json(value) for name, value in fields.items()}
        density = folder / FAMILIARITY_FILE
        familiarity = Familiarity.read(density) if density.is_file() else None
        rule = DecisionRule(**fields, set_thresholds=thresholds, familiarity=familiarity, **counts)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"decision rule must be the {RULE_FILE} and {FAMILIARITY_FILE} that the Calibrator wrote. Received: "
            f"{str(file)!r}, which cannot be read: {error!r}. Copy both again, or run the Calibrator again."
        ) from error
    if model is not None and model_digest not in (None, _digest(model)):
        raise ValueError(
            f"decision rule must be that of its model. Received: {str(file)!r}, which was fitted to another file than "
            f"{model.name} is now. Its promises hold for no other weights. Run the Calibrator again, or move the model "
            "out of this folder: then every image is referred."
        )
    return rule


def _digest(file: pathlib.Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_highest(probabilities: Any) -> Any:
    """Of every row; no argmax, whose handling of signed zeros ONNX does not know."""
    return probabilities >= ops.max(probabilities, axis=1, keepdims=True)


def _to_json(value: Any) -> Any:
    """JSON has no infinity: null stands for it."""
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def _from_json(value: Any) -> Any:
    return math.inf if value is None else value
