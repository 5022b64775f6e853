"""Out-of-fold answers as they would be served: every fold with the rule that its own calibration part teaches."""

from __future__ import annotations

import numpy as np
import pandas as pd
from keras import ops

from sperm_tf.config import CalibratorConfig
from sperm_tf.decision.fitting import fit_rule
from sperm_tf.decision.rule import ACCEPT, CONFIDENT, REASONS, REFER
from sperm_tf.evaluation import oof, predictions
from sperm_tf.evaluation.predictions import Predictions


def decide(table: pd.DataFrame, config: CalibratorConfig, *, repeat: int = 0) -> Predictions:
    """Calibrates and decides the test answers of one repeat.

    Each fold's rule is fitted to the answers of its network to its calibration part, of which no image is in its test
    part. How familiar an image is cannot be said here: the table holds no features.

    Args:
        table: as `sperm_tf.evaluation.oof` has it, with both parts of every fold of the repeat.
        config: what is promised.
        repeat: number of the repeat.

    Returns:
        The answers to all images, in the order of `image_id`.
    """
    names = oof.class_names(table)
    rows = []
    for fold in sorted(oof.select(table, part=oof.TEST, repeat=repeat)["fold"].unique()):
        held_aside = oof.select(table, part=oof.CALIBRATION, repeat=repeat, fold=fold)
        rule = fit_rule(log_probabilities(held_aside), oof.labels(held_aside), config)
        tested = oof.select(table, part=oof.TEST, repeat=repeat, fold=fold)
        logits = log_probabilities(tested)
        decisions = rule.decide(logits, np.zeros((len(logits), 1), np.float32))
        columns = [ops.convert_to_numpy(column) for column in vars(decisions).values()]
        identities = tested[["image_id", "group_id", "label"]].itertuples(index=False)
        for (image_id, group_id, label), probabilities, members, reason, _ in zip(identities, *columns, strict=True):
            rows.append(
                {
                    "image_id": image_id,
                    "group_id": group_id,
                    "label": label,
                    "status": predictions.OK,
                    "probabilities": probabilities,
                    "prediction_set": members,
                    "decision": ACCEPT if REASONS[reason] == CONFIDENT else REFER,
                    "reason": REASONS[reason],
                }
            )
    return predictions.from_rows(rows, class_names=names, split=oof.TEST)


def log_probabilities(table: pd.DataFrame) -> np.ndarray:
    """Logits up to a constant an image, float64 [N, C]; a probability that was rounded to zero is the smallest one."""
    return np.log(np.maximum(oof.probabilities(table), np.finfo(np.float64).tiny))
