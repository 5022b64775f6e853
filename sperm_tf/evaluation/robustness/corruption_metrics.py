"""Metrics under corruptions: by corruption, by severity and by measured quality.

The answers are `sperm_tf.evaluation.metrics.predictions` with the features `FEATURES`. The clean images are among
them, as corruption `CLEAN` of severity 0. Intervals are those of `sperm_tf.evaluation.metrics.intervals`; undefined
figures are None.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

from sperm_tf.data.quality import BINS
from sperm_tf.evaluation.metrics import calibration, intervals, jsonable, predictions
from sperm_tf.evaluation.metrics.predictions import Predictions
from sperm_tf.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES
from sperm_tf.schemas.audits import Robustness, RobustnessRow
from sperm_tf.served_names import ACCEPT, OK, UNFAMILIAR

FEATURES = ("repeat", "fold", "corruption", "severity", "quality_bin")
"""What an answer is known by besides its image: of which fit, on which version of the image, of which quality."""
CLEAN = "clean"
SHARES = ("accuracy", "coverage", "accepted", "accuracy_of_accepted", "accepted_wrong", "unfamiliar")
FIGURES = (*SHARES, "accuracy_change", "ece")
SEED = 0
BOOTSTRAP_SAMPLES = 2000


def describe_corruptions(answers: pd.DataFrame) -> Robustness:
    """`describe_robustness` of rows of CorruptionAudit's `answers.csv` of any number of folds."""
    texts = answers.astype(str).itertuples(index=False, name=None)
    rows = [dict(zip(answers.columns, text, strict=True)) for text in texts]
    return describe_robustness(predictions.from_text(rows), bootstrap_samples=BOOTSTRAP_SAMPLES)


def describe_robustness(answers: Predictions, *, bootstrap_samples: int) -> Robustness:
    """All metrics.

    Args:
        answers: of one fit or of many, to the same images clean and corrupted.
        bootstrap_samples: number of resamples of the group bootstrap.

    Returns:
        A JSON-serializable dictionary: `num_images` (different ones), and the lists `severities` (of the clean images
        and of every corruption in every severity), `corruptions` (of every corruption, all severities together) and
        `quality_bins` (of every third of measured quality, clean and corrupted together). Each entry has `corruption`,
        `severity` or `quality_bin`, `num_answers`, and `FIGURES`, each with `value` and `bootstrap_95`, shares also
        with `wilson_95`:

        - `accuracy`: share of right answers; no answer is a wrong one.
        - `accuracy_change`: how much that is above (below, when negative) the accuracy on the same images when clean.
        - `ece`: expected calibration error over bins of equal width (`sperm_tf.evaluation.metrics.calibration`).
        - `coverage`: share of prediction sets that hold the true class.
        - `accepted`: share of answers that were not referred to a person.
        - `accuracy_of_accepted`: share of right answers among those.
        - `accepted_wrong`: share of all answers that were accepted and wrong: the errors nobody would look at.
        - `unfamiliar`: share of answers referred because the image is unlike the training images.

    Raises:
        ValueError: there are no clean images, or some image was answered corrupted only.
    """
    table = _Table(answers, bootstrap_samples)
    corruptions, severities = answers.values_of("corruption"), answers.values_of("severity").astype(int)
    bins = answers.values_of("quality_bin")
    found = [name for name in CORRUPTIONS if (corruptions == name).any()]
    cells = [(CLEAN, 0), *((name, severity) for name in found for severity in SEVERITIES)]
    return {
        "num_images": len(set(answers.image_ids)),
        "severities": [
            {"corruption": name, "severity": severity, **table.figures(rows)}
            for name, severity in cells
            if (rows := (corruptions == name) & (severities == severity)).any()
        ],
        "corruptions": [{"corruption": name, **table.figures(corruptions == name)} for name in found],
        "quality_bins": [{"quality_bin": name, **table.figures(bins == name)} for name in BINS if (bins == name).any()],
    }


class _Table:
    """The predictions as columns, and metrics of some of them."""

    def __init__(self, answers: Predictions, bootstrap_samples: int):
        self._samples = bootstrap_samples
        self._groups = np.array(answers.group_ids)
        self._labels = answers.labels
        self._probabilities = np.asarray(answers.probabilities, np.float64)
        is_answered = np.array(answers.statuses) == OK
        self._is_answered = is_answered
        is_right = is_answered & (answers.predicted == answers.labels)
        is_accepted = is_answered & (np.array(answers.decisions) == ACCEPT)
        covered = answers.prediction_sets[np.arange(len(answers)), answers.labels]
        everything = np.ones(len(answers), bool)
        self._shares = {  # name -> the rows that count, and those of them that are in the share
            "accuracy": (everything, is_right),
            "coverage": (everything, is_answered & covered),
            "accepted": (everything, is_accepted),
            "accuracy_of_accepted": (is_accepted, is_right),
            "accepted_wrong": (everything, is_accepted & ~is_right),
            "unfamiliar": (everything, np.array(answers.reasons) == UNFAMILIAR),
        }
        self._changes = is_right.astype(np.float64) - _when_clean(answers, is_right)

    def figures(self, rows: np.ndarray) -> RobustnessRow:
        """`num_answers` and `FIGURES` of the rows for which bool [N] `rows` is true."""

        def statistic(weights: np.ndarray) -> dict[str, np.ndarray]:
            total = weights.sum(axis=-1)
            return {
                **{name: _share(weights, *(part[rows] for part in parts)) for name, parts in self._shares.items()},
                "accuracy_change": weights @ self._changes[rows] / total,
                "ece": calibration.ece(
                    self._probabilities[rows], self._labels[rows], weights * self._is_answered[rows]
                ),
            }

        values = statistic(np.ones((1, int(rows.sum()))))
        entering = {name: counts[rows] for name, (counts, _) in self._shares.items()} | {"ece": self._is_answered[rows]}
        bounds = intervals.group_bootstrap(
            self._groups[rows], statistic, samples=self._samples, seed=SEED, shifted=("ece",), rows=entering
        )
        figures: dict[str, Any] = {
            name: {"value": jsonable.number(values[name][0]), "bootstrap_95": jsonable.interval(*bounds[name])}
            for name in FIGURES
        }
        for name in SHARES:
            counts, members = (part[rows] for part in self._shares[name])
            wilson = intervals.wilson(int((counts & members).sum()), int(counts.sum()))
            figures[name]["wilson_95"] = jsonable.interval(*wilson)
        return cast(RobustnessRow, {"num_answers": int(rows.sum()), **figures})


def _when_clean(answers: Predictions, is_right: np.ndarray) -> np.ndarray:
    """Whether the same fit was right about the same image when it was clean, float64 [N]."""
    keys = list(zip(answers.features["repeat"], answers.features["fold"], answers.image_ids, strict=True))
    is_clean = answers.values_of("corruption") == CLEAN
    clean = {key: float(right) for key, right, counts in zip(keys, is_right, is_clean, strict=True) if counts}
    missing = sorted({key[2] for key in keys if key not in clean})
    if missing:
        raise ValueError(
            f"answers must hold every image clean, too. Received: {len(missing)} images that were answered corrupted "
            f"only, {missing[0]!r} among them. Take all rows of the answers.csv that the audit wrote."
        )
    return np.array([clean[key] for key in keys])


def _share(weights: np.ndarray, counts: np.ndarray, members: np.ndarray) -> np.ndarray:
    total = weights @ counts.astype(np.float64)
    found = weights @ (counts & members).astype(np.float64)
    return np.divide(found, total, out=np.full_like(total, np.nan), where=total > 0)
