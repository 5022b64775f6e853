"""Fits a decision rule to the answers of a trained network."""

from __future__ import annotations

import math

import numpy as np

from sperm_tf.config import CalibratorConfig
from sperm_tf.decision import conformal, selective, temperature
from sperm_tf.decision.familiarity import Familiarity
from sperm_tf.decision.rule import DecisionRule


def fit_rule(
    logits: np.ndarray,
    labels: np.ndarray,
    config: CalibratorConfig,
    *,
    familiarity: Familiarity | None = None,
    distances: np.ndarray | None = None,
) -> DecisionRule:
    """The rule that calibration images teach; where a class has none, it refers everything.

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
        distances: float [m], its distances of images like the calibration images, none of which it learnt from.

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
    shows_all_classes = len(np.unique(labels)) == probabilities.shape[1]
    guarantee = selective.guarantee(
        probabilities.max(axis=1),
        probabilities.argmax(axis=1) == labels,
        max_risk=config.max_risk,
        delta=config.delta,
    )
    knows_distances = familiarity is not None and distances is not None and len(distances) > 0
    return DecisionRule(
        temperature=degree,
        set_method=config.set_method,
        set_thresholds=tuple(thresholds.tolist()),
        set_coverage=config.set_coverage,
        class_conditional=config.class_conditional,
        min_confidence=guarantee.threshold if shows_all_classes else math.inf,
        max_risk=config.max_risk,
        delta=config.delta,
        num_images=len(labels),
        familiarity=familiarity if knows_distances else None,
        max_distance=_limit(distances, config.max_unfamiliar) if knows_distances else math.inf,
    )


def _limit(distances: np.ndarray | None, max_unfamiliar: float) -> float:
    return float(np.quantile(np.asarray(distances, np.float64), 1 - max_unfamiliar, method="higher"))
