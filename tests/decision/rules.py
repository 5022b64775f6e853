"""A rule that does a bit of everything."""

import math

import numpy as np

from sperm_tf.decision.familiarity import Familiarity
from sperm_tf.decision.rule import DecisionRule


def make_rule(*, num_features=16, num_composition=0, spread=1.0, **changes):
    """Three classes; features around 0 with standard deviation `spread` are familiar, and so is the composition."""
    features = np.random.default_rng(0).normal(scale=spread, size=(400, num_features + num_composition))
    fields = {
        "temperature": 1.7,
        "set_method": "lac",
        "set_thresholds": (0.5, 0.7, 0.9),
        "set_coverage": 0.9,
        "class_conditional": True,
        "min_confidence": 0.6,
        "max_risk": 0.05,
        "delta": 0.05,
        "num_images": 100,
        "familiarity": Familiarity.fit(features, num_composition=num_composition),
        "max_distance": 2.0 * num_features,
        "max_faintness": 1.5 * spread,
        "max_composition": 4.0 * num_composition or math.inf,
    }
    return DecisionRule(**(fields | changes))
