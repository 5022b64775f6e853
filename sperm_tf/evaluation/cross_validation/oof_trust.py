"""Out-of-fold predictions as they would be served: decided by a rule that is fitted to out-of-fold predictions.

The rule of a model that was trained on every image is fitted to the answers of all five networks of a repeat
(`pipelines.cross_validation.final_calibrator`). What such a rule is worth is measured here: the answers to each fold
are decided by the rule that the answers to the other four teach. No rule sees the fold that it decides. But the
networks that answered the other four were trained on images of it, as in cross-conformal prediction (Vovk 2015, Annals
of Mathematics and Artificial Intelligence 74:9-28), whose promises hold for exchangeable images up to that dependence.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from keras import ops

from sperm_tf.config import NUM_FOLDS, CalibratorConfig
from sperm_tf.decision.fitting import fit_rule
from sperm_tf.evaluation.cross_validation import coverage_experiment, oof
from sperm_tf.evaluation.metrics import predictions, uncertainty
from sperm_tf.evaluation.metrics.predictions import Predictions
from sperm_tf.schemas.cross_validation import Accepted, GuaranteeAtRisk, ModelDecisions
from sperm_tf.served_names import ACCEPT, CONFIDENT, OK, REASONS, REFER

MAX_RISKS = (0.02, 0.05, 0.08, 0.1)


def decide(table: pd.DataFrame, config: CalibratorConfig, *, repeat: int = 0) -> Predictions:
    """Calibrates and decides the test predictions of one repeat, each fold by the rule of the other folds.

    How familiar an image is cannot be said here: the table holds no features.

    Args:
        table: as `sperm_tf.evaluation.cross_validation.oof` has it, with every fold of the repeat.
        config: what is promised.
        repeat: number of the repeat.

    Returns:
        The answers to all images, in the order of `image_id`.

    Raises:
        OofError: a fold of the repeat is missing.
    """
    names = oof.class_names(table)
    rows = []
    for fold in sorted(oof.select(table, part=oof.TEST, repeat=repeat)["fold"].unique()):
        rule = fit_rule(*calibration_answers(table, repeat=repeat, without_fold=fold), config)
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
                    "status": OK,
                    "probabilities": probabilities,
                    "prediction_set": members,
                    "decision": ACCEPT if REASONS[reason] == CONFIDENT else REFER,
                    "reason": REASONS[reason],
                }
            )
    return predictions.from_rows(rows, class_names=names, split=oof.TEST)


def calibration_answers(
    table: pd.DataFrame, *, repeat: int = 0, without_fold: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What `sperm_tf.decision.fitting.fit_rule` takes, from the test predictions of a repeat.

    Args:
        table: as `sperm_tf.evaluation.cross_validation.oof` has it.
        repeat: number of the repeat.
        without_fold: the fold that is to be decided by the rule; None takes the answers to all images.

    Returns:
        Log-probabilities float64 [n, C], and labels int64 [n].

    Raises:
        OofError: a fold of the repeat is missing.
    """
    rows = oof.select(table, part=oof.TEST, repeat=repeat)
    missing = sorted(set(range(NUM_FOLDS)) - set(rows["fold"]))
    if missing:
        raise oof.OofError(
            f"repeat {repeat} must hold the answers to all {NUM_FOLDS} folds. Received: a table without "
            f"{', '.join(f'fold {fold}' for fold in missing)}. Finish the cross-validation first"
        )
    rows = rows[rows["fold"] != without_fold]
    return log_probabilities(rows), oof.labels(rows)


def log_probabilities(table: pd.DataFrame) -> np.ndarray:
    """Logits up to a constant an image, float64 [N, C]; a probability that was rounded to zero is the smallest one."""
    return np.log(np.maximum(oof.probabilities(table), np.finfo(np.float64).tiny))


def describe(table: pd.DataFrame, config: CalibratorConfig, *, bootstrap_samples: int) -> ModelDecisions:
    """Metrics of the served predictions of a model, repeat by repeat.

    Args:
        table: as `sperm_tf.evaluation.cross_validation.oof` has it, of complete repeats.
        config: what is promised.
        bootstrap_samples: number of resamples of the group bootstrap.

    Returns:
        A JSON-serializable dictionary: `repeats`, what `trust.describe_trust` says of each; `guarantees`, for each of
        `MAX_RISKS` the share that would be accepted in each repeat and the accuracy of what is (None without any);
        `slides` and `accepted_on_slides`, what a count of normal forms and accepted answers are worth on slides with
        another mix of classes (`sperm_tf.evaluation.cross_validation.coverage_experiment`).
    """
    repeats = sorted(table["repeat"].unique().tolist())
    guarantees: list[GuaranteeAtRisk] = []
    for max_risk in MAX_RISKS:
        decided = [decide(table, dataclasses.replace(config, max_risk=max_risk), repeat=repeat) for repeat in repeats]
        guarantees.append({"max_risk": max_risk, "repeats": [_accepted(predicted) for predicted in decided]})
    decided = [decide(table, config, repeat=repeat) for repeat in repeats]
    described = [uncertainty.describe_trust(predicted, bootstrap_samples=bootstrap_samples) for predicted in decided]
    return {
        "promise": {"set_coverage": config.set_coverage, "max_risk": config.max_risk, "delta": config.delta},
        "repeats": [figures for figures in described if figures is not None],  # out of fold every image is answered
        "guarantees": guarantees,
        "slides": coverage_experiment.describe(table, decided),
        "accepted_on_slides": coverage_experiment.describe_accepted(decided),
    }


def _accepted(predicted: Predictions) -> Accepted:
    accepted = np.array(predicted.decisions) == ACCEPT
    right = (predicted.predicted == predicted.labels)[accepted]
    return {"accepted": float(accepted.mean()), "accuracy_of_accepted": float(right.mean()) if len(right) else None}
