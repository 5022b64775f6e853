"""What the audit of the labels found: how alike the maps are to those of a network that learnt shuffled labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sperm_tf.evaluation import intervals, jsonable

_SAMPLES, _SEED = 2000, 0


def describe_labels(answers: pd.DataFrame) -> dict[str, Any]:
    """Figures of one model.

    Args:
        answers: rows of LabelAudit's `answers.csv` of the folds that were asked, with a column `fold`.

    Returns:
        `num_folds`, `num_images`, `train_accuracy` (the lowest share of the shuffled labels that a rival knows), and
        `methods`: name -> figure of `sperm_tf.explain.sanity.similarities` -> `value`, the mean over the images, and
        `bootstrap_95`, which draws groups of images again.
    """
    methods: dict[str, dict[str, Any]] = {}
    for (method, figure), rows in answers.groupby(["method", "figure"], sort=False):
        methods.setdefault(str(method), {})[str(figure)] = _mean(rows)
    return {
        "num_folds": int(answers["fold"].nunique()),
        "num_images": len(answers[["fold", "image_id"]].drop_duplicates()),
        "train_accuracy": float(answers["train_accuracy"].min()),
        "methods": methods,
    }


def _mean(rows: pd.DataFrame) -> dict[str, Any]:
    values = rows["value"].to_numpy(np.float64)

    def statistic(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": weights @ values / weights.sum(axis=-1)}

    groups = rows["group_id"].to_numpy()
    lower, upper = intervals.group_bootstrap(groups, statistic, samples=_SAMPLES, seed=_SEED)["mean"]
    return {"value": jsonable.number(values.mean()), "bootstrap_95": jsonable.interval(lower, upper)}
