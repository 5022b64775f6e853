"""What attacks leave of a network's accuracy, and whether the decision rule stops what they mislead."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sperm_tf.evaluation.metrics import intervals, jsonable
from sperm_tf.schemas.audits import Attack
from sperm_tf.schemas.metrics import Proportion
from sperm_tf.served_names import ACCEPT

_SAMPLES, _SEED = 1000, 0


def describe_attacks(answers: pd.DataFrame) -> list[Attack]:
    """Metrics of one model, one entry an attack, weakest first.

    Args:
        answers: rows of AttackAudit's `answers.csv` of every fold.

    Returns:
        Entries with `attack`, `epsilon`, `num_images`, and, each with `value`, `wilson_95` and `bootstrap_95`, the
        shares of all images: `accuracy`, `accepted`, and `accepted_wrong`, those accepted with a wrong answer.
    """
    found = []
    for epsilon, attack in sorted(set(zip(answers["epsilon"].tolist(), answers["attack"].tolist(), strict=True))):
        rows = answers[(answers["epsilon"] == epsilon) & (answers["attack"] == attack)]
        is_right = (rows["predicted"] == rows["label"]).to_numpy()
        is_accepted = (rows["decision"] == ACCEPT).to_numpy()
        figures = _figures(
            rows, {"accuracy": is_right, "accepted": is_accepted, "accepted_wrong": is_accepted & ~is_right}
        )
        found.append(
            Attack(
                attack=attack,
                epsilon=epsilon,
                num_images=len(rows),
                accuracy=figures["accuracy"],
                accepted=figures["accepted"],
                accepted_wrong=figures["accepted_wrong"],
            )
        )
    return found


def _figures(rows: pd.DataFrame, shares: dict[str, np.ndarray]) -> dict[str, Proportion]:
    def statistic(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {name: weights @ members / weights.sum(axis=1) for name, members in shares.items()}

    bounds = intervals.group_bootstrap(rows["group_id"].to_numpy(), statistic, samples=_SAMPLES, seed=_SEED)
    return {
        name: {
            "value": float(members.mean()),
            "wilson_95": jsonable.interval(*intervals.wilson(int(members.sum()), len(members))),
            "bootstrap_95": jsonable.interval(*bounds[name]),
        }
        for name, members in shares.items()
    }
