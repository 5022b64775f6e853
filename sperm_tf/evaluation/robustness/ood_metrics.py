"""Detection of out-of-distribution inputs, and the decisions on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sperm_tf.evaluation.metrics import intervals, jsonable
from sperm_tf.evaluation.quantification.class_roles import is_no_sperm
from sperm_tf.schemas.audits import OodInputs, OodKind, OodScores
from sperm_tf.schemas.metrics import Metric, WilsonShare
from sperm_tf.served_names import ACCEPT, UNFAMILIAR

TESTED = "tested"
SCORES = ("unfamiliarity", "doubt")
"""What may tell strangers apart: the distance in the decision rule, and 1 - the highest probability, for comparison."""
_SAMPLES, _SEED = 1000, 0


def describe_strangers(answers: pd.DataFrame) -> OodInputs:
    """Metrics of one model over the folds of a repeat.

    Distances of different networks have different scales, so an AUROC is computed within each fold, and averaged over
    the folds; a resample draws groups within all folds at once.

    Args:
        answers: rows of StrangerAudit's `answers.csv` of every fold, with a column `fold`.

    Returns:
        `kinds`: name -> `num_images`; `num_groups`, of images that are made of one; `auroc` of each of `SCORES` against
        the test images, with `bootstrap_95`, None for a kind of fewer than `intervals.MIN_GROUPS` groups; `accepted`,
        `accepted_as_sperm` (as a class that is not known to be of no sperm) and `unfamiliar`, the shares that were
        accepted and that were referred as unfamiliar, with `wilson_95` for so many images as there are groups: few
        pictures show little, however many crops they are cut into. The kind `tested` has no AUROC.
        `mean_auroc`: of each score, the mean over all kinds but `tested`, with `bootstrap_95`.
    """
    kinds = [TESTED, *sorted(set(answers["kind"]) - {TESTED})]
    folds = [rows for _, rows in answers.groupby("fold", sort=True)]
    values, bounds = _aurocs(folds, kinds[1:])
    found: OodInputs = {"num_folds": len(folds), "mean_auroc": _scores(values, bounds, "mean"), "kinds": {}}
    for kind in kinds:
        rows = answers[answers["kind"] == kind]
        num_groups = rows["group_id"].nunique()
        is_accepted = rows["decision"] == ACCEPT
        entry: OodKind = {
            "num_images": len(rows),
            "num_groups": num_groups,
            "accepted": _share(is_accepted, num_groups),
            "accepted_as_sperm": _share(is_accepted & ~rows["predicted"].map(is_no_sperm), num_groups),
            "unfamiliar": _share(rows["reason"] == UNFAMILIAR, num_groups),
        }
        if kind != TESTED:
            entry["auroc"] = _scores(values, bounds, kind)
        found["kinds"][kind] = entry
    return found


def weighted_auroc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve (Hanley and McNeil 1982, Radiology 143:29-36); ties count half.

    Args:
        scores: float [N].
        positive: bool [N].
        weights: how often each row counts, float [S, N].

    Returns:
        float64 [S]; NaN where a class has no weight.
    """
    _, ranks = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    members = np.zeros((len(ranks), ranks.max() + 1))
    members[np.arange(len(ranks)), ranks] = 1
    positives, negatives = (weights * positive) @ members, (weights * ~np.asarray(positive, bool)) @ members
    below = np.cumsum(negatives, axis=1) - negatives
    wins = (positives * (below + negatives / 2)).sum(axis=1)
    total = positives.sum(axis=1) * negatives.sum(axis=1)
    return np.divide(wins, total, out=np.full(len(weights), np.nan), where=total > 0)


def find_rarer(groups: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """The rows of whichever class has fewer groups: of these there is few or many when an AUROC is resampled."""
    return min((positive, negative), key=lambda rows: len(np.unique(groups[rows])))


def _aurocs(folds: list[pd.DataFrame], kinds: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every AUROC, and its bounds, by name."""
    table = pd.concat(folds, ignore_index=True)
    scores = {"unfamiliarity": table["unfamiliarity"].to_numpy(), "doubt": 1 - table["confidence"].to_numpy()}
    is_tested = (table["kind"] == TESTED).to_numpy()
    chosen = [
        (kind, (table["fold"] == fold).to_numpy() & (is_tested | (table["kind"] == kind).to_numpy()))
        for fold in sorted(table["fold"].unique())
        for kind in kinds
    ]

    def statistic(weights: np.ndarray) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for score, values in scores.items():
            for kind in kinds:
                parts = [
                    weighted_auroc(values[rows], ~is_tested[rows], weights[:, rows])
                    for name, rows in chosen
                    if name == kind
                ]
                found[f"{kind}/{score}"] = np.mean(parts, axis=0)
            found[f"mean/{score}"] = np.nanmean([found[f"{kind}/{score}"] for kind in kinds], axis=0)
        return found

    values = statistic(np.ones((1, len(table))))
    groups = table["group_id"].to_numpy()
    entering = {f"mean/{score}": ~is_tested for score in scores}
    for kind in kinds:
        rarer = find_rarer(groups, (table["kind"] == kind).to_numpy(), is_tested)
        entering |= {f"{kind}/{score}": rarer for score in scores}
    return values, intervals.group_bootstrap(groups, statistic, samples=_SAMPLES, seed=_SEED, rows=entering)


def _scores(values: dict[str, Any], bounds: dict[str, Any], kind: str) -> OodScores:
    return {
        "unfamiliarity": _figure(values, bounds, f"{kind}/unfamiliarity"),
        "doubt": _figure(values, bounds, f"{kind}/doubt"),
    }


def _figure(values: dict[str, Any], bounds: dict[str, Any], name: str) -> Metric:
    return {"value": jsonable.number(values[name][0]), "bootstrap_95": jsonable.interval(*bounds[name])}


def _share(found: pd.Series, num_groups: int) -> WilsonShare:
    share = float(found.mean())
    return {"value": share, "wilson_95": jsonable.interval(*intervals.wilson(share * num_groups, num_groups))}
