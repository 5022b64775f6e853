"""Temperature scaling: one number that makes a network's probabilities mean what they say."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BOUNDS = (0.1, 20.0)
"""Lowest and highest temperature that is fitted."""


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T for which softmax(logits / T) has the lowest negative log-likelihood.

    Guo et al. 2017, "On Calibration of Modern Neural Networks" (ICML), section 4.2. The order of the classes stays, and
    with it the accuracy. The targets are Platt's (1999, "Probabilistic Outputs for Support Vector Machines",
    section 2.2): a true class counts (n + 1) / (n + C) and each other class 1 / (n + C), as if the images held one more
    of every class. Without that, a few images that are all answered right would ask for T = 0, that is for certainty.

    Args:
        logits: float [N, C]; log-probabilities will do.
        labels: int [N], true classes; images that the network was not trained on.

    Returns:
        T within `BOUNDS`; above 1 it makes answers less certain. 1 where there is no image.

    Raises:
        ValueError: the shapes do not fit, or a logit is not finite.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"logits must be [N, C] and labels [N]. Received: shapes {logits.shape} and {labels.shape}. Pass one row "
            "of logits for each label."
        )
    if not np.isfinite(logits).all():
        raise ValueError(
            "logits must be finite. Received: NaN or infinity. Take the logits, not the log of rounded zeros."
        )
    num_images, num_classes = logits.shape
    if not num_images:
        return 1.0
    targets = (1 + num_images * np.eye(num_classes)[labels]) / (num_images + num_classes)

    def loss(inverse: float) -> float:
        return -float((targets * log_softmax(logits * inverse, axis=1)).sum(axis=1).mean())

    # Convex in 1 / T, so that a local minimum is the minimum.
    low, high = BOUNDS
    return float(1 / minimize_scalar(loss, bounds=(1 / high, 1 / low), method="bounded", options={"xatol": 1e-8}).x)


def scale(logits: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(logits / temperature), float64 [N, C]."""
    return np.exp(log_softmax(np.asarray(logits, np.float64) / temperature, axis=1))
