"""What the audit of the labels found: how alike the maps are to those of a network that learnt shuffled labels."""

from __future__ import annotations

import pandas as pd

from sperm_tf.evaluation.attribution.attribution_metrics import describe_explanations
from sperm_tf.explain.sanity import LABELS
from sperm_tf.schemas.audits import LabelRandomization


def describe_labels(answers: pd.DataFrame) -> LabelRandomization:
    """Metrics of one model.

    Args:
        answers: rows of LabelAudit's `answers.csv` of the folds that were asked, with a column `fold`.

    Returns:
        `num_folds`, `num_images`, `train_accuracy` (the lowest share of the shuffled labels that a rival knows), and
        `methods`: name -> figure of `sperm_tf.explain.sanity.similarities` -> what `describe_explanations` says of it.
    """
    found = describe_explanations(answers)
    return {
        "num_folds": found["num_folds"],
        "num_images": found["num_images"],
        "train_accuracy": float(answers["train_accuracy"].min()),
        "methods": {method: conditions[LABELS] for method, conditions in found["sanity"].items()},
    }
