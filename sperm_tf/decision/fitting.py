"""Fits a decision rule to the predictions of a trained network."""

from __future__ import annotations

import math

import numpy as np

from sperm_tf.config import CalibratorConfig
from sperm_tf.decision import conformal, selective, temperature
from sperm_tf.decision.familiarity import Familiarity
from sperm_tf.decision.rule import DecisionRule

_USUAL_FAINTNESS = 0.1
"""A tenth less contrast than usual is nothing unusual, however alike the calibration images are."""


def fit_rule(
    logits: np.ndarray,
    labels: np.ndarray,
    config: CalibratorConfig,
    *,
    familiarity: Familiarity | None = None,
    measured: np.ndarray | None = None,
) -> DecisionRule:
    """Fits the rule to calibration images; where a class has none, it refers everything.

    The guarantee on accepted answers is one for all classes together. It would say nothing of a class that no
    calibration image shows, and images of that class would be accepted as another.

    The temperature and what is fitted to the probabilities that it makes use the same images: one number learnt from
    them does not undo the promises noticeably, and halving them would cost more.

    Args:
        logits: float [n, C], answers to images that the network was not trained on, and whose classes chose nothing,
            averaged over views; log-probabilities will do.
        labels: int [n], their true classes.
        config: what is promised.
        familiarity: knows the training images; None leaves unfamiliar ones unnoticed.
        measured: float [m, 2] or [m, 3], what its `measure` says of images like the calibration images, none of which
            it learnt from.

    Raises:
        ValueError: the shapes do not fit each other, or a value is not finite.
    """
    degree = temperature.fit_temperature(logits, labels)
    probabilities = temperature.scale(logits, degree)
    thresholds = conformal.fit(
        probabilities,
        labels,
        method=config.set_method,
        alpha=1 - config.set_coverage,
        class_conditional=config.class_conditional,
    )
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    shows_all_classes = len(np.unique(labels)) == probabilities.shape[1]
    guarantee = selective.guarantee(confidence, answers == labels, max_risk=config.max_risk, delta=config.delta)
    min_confidence = guarantee.threshold if shows_all_classes else math.inf
    is_confident = confidence >= min_confidence
    knows_images = familiarity is not None and measured is not None and len(measured) > 0
    limits = [math.inf] * 3
    if knows_images:
        found = np.quantile(np.asarray(measured, np.float64), 1 - config.max_unfamiliar, axis=0, method="higher")
        limits[: len(found)] = found.tolist()
        limits[1] = max(limits[1], _USUAL_FAINTNESS)
    return DecisionRule(
        temperature=degree,
        set_method=config.set_method,
        set_thresholds=tuple(thresholds.tolist()),
        set_coverage=config.set_coverage,
        class_conditional=config.class_conditional,
        min_confidence=min_confidence,
        max_risk=config.max_risk,
        delta=config.delta,
        num_images=len(labels),
        familiarity=familiarity if knows_images else None,
        max_distance=limits[0],
        max_faintness=limits[1],
        max_composition=limits[2],
        confusion=_count_answers(labels, answers, len(thresholds)),
        confident=_count_answers(labels[is_confident], answers[is_confident], len(thresholds)),
    )


def _count_answers(labels: np.ndarray, answers: np.ndarray, num_classes: int) -> tuple[tuple[int, ...], ...]:
    counts = np.zeros((num_classes, num_classes), int)  # scikit-learn's refuses to count no images
    np.add.at(counts, (labels, answers), 1)
    return tuple(map(tuple, counts.tolist()))
