"""How well networks of one dataset tell normal from abnormal sperm of another, and whether they notice."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

from sperm_tf.evaluation.metrics import intervals, jsonable
from sperm_tf.evaluation.robustness.ood_metrics import find_rarer, weighted_auroc
from sperm_tf.schemas.audits import ExternalValidation
from sperm_tf.served_names import ACCEPT, UNFAMILIAR

NORMAL = "normal"
_SAMPLES, _SEED = 1000, 0


def describe_transfer(answers: pd.DataFrame) -> ExternalValidation:
    """Metrics of one model: every fold's network predicts every image, and the networks are averaged.

    Args:
        answers: rows of TransferAudit's `answers.csv` of every fold, with a column `fold`.

    Returns:
        `num_images`, `num_folds`, and with `value` and `bootstrap_95` (over the groups of images; None where
        undefined): `auroc` of the probability of `normal`; `sensitivity`, the share of abnormal sperm that is not
        taken for normal; `specificity`, the share of normal sperm that is; `accepted`, `unfamiliar`, the shares that
        were accepted and that were referred as unfamiliar; `accepted_right`, of the accepted, the share that was
        rightly taken for normal or not. The shares also with `wilson_95`, as if one network had been asked; None
        where there is nothing to have a share in.
    """
    answers = answers.sort_values(["fold", "image_id"], kind="stable")
    folds = [rows for _, rows in answers.groupby("fold", sort=True)]
    images = folds[0]
    is_normal = images["is_normal"].to_numpy(bool)

    def stacked(column: pd.Series) -> np.ndarray:
        return column.to_numpy().reshape(len(folds), len(images))

    scores = stacked(answers["p_normal"])
    says_normal = stacked(answers["predicted"] == NORMAL)
    is_accepted = stacked(answers["decision"] == ACCEPT)
    every = np.ones_like(is_accepted)
    shares = {  # of which rows, which
        "sensitivity": (every & ~is_normal, ~says_normal),
        "specificity": (every & is_normal, says_normal),
        "accepted": (every, is_accepted),
        "accepted_right": (is_accepted, says_normal == is_normal),
        "unfamiliar": (every, stacked(answers["reason"] == UNFAMILIAR)),
    }

    def statistic(weights: np.ndarray) -> dict[str, np.ndarray]:
        auroc = np.mean([weighted_auroc(one, is_normal, weights) for one in scores], axis=0)
        return {"auroc": auroc, **{name: _share(weights, *rows) for name, rows in shares.items()}}

    values = statistic(np.ones((1, len(images))))
    groups = images["group_id"].to_numpy()
    entering = {name: counts.any(axis=0) for name, (counts, _) in shares.items()}
    entering["auroc"] = find_rarer(groups, is_normal, ~is_normal)
    bounds = intervals.group_bootstrap(groups, statistic, samples=_SAMPLES, seed=_SEED, rows=entering)
    figures: dict[str, dict[str, Any]] = {
        name: {"value": jsonable.number(values[name][0]), "bootstrap_95": jsonable.interval(*bounds[name])}
        for name in values
    }
    for name, (counts, members) in shares.items():
        asked, found = counts.sum() / len(folds), (counts & members).sum() / len(folds)
        figures[name]["wilson_95"] = jsonable.interval(*intervals.wilson(found, asked))
    return cast(ExternalValidation, {"num_images": len(images), "num_folds": len(folds), **figures})


def _share(weights: np.ndarray, counts: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Of the rows that count, the share that are members, over all networks: [S]."""
    total, found = weights @ counts.sum(axis=0), weights @ (counts & members).sum(axis=0)
    return np.divide(found, total, out=np.full(len(weights), np.nan), where=total > 0)
