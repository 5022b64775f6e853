"""Calibration, conformal prediction sets and selective classification of one split.

Undefined figures and bounds are None (JSON null). Rows without an answer are left out, as nothing was claimed of them.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from sperm_tf.evaluation.metrics import calibration, intervals, jsonable
from sperm_tf.evaluation.metrics.predictions import Predictions
from sperm_tf.schemas.metrics import CalibrationMetric, PredictionSets, Proportion, Selection, Uncertainty
from sperm_tf.served_names import ACCEPT, OK

SEED = 0
_BINNINGS = {"ece": "width", "ece_equal_mass": "mass"}
_CHANCE_SAMPLES = 500
_MAX_POINTS = 200


def describe_trust(predictions: Predictions, *, bootstrap_samples: int) -> Uncertainty | None:
    """All metrics of one split.

    Args:
        predictions: answers to every example of the split.
        bootstrap_samples: number of resamples of the group bootstrap.

    Returns:
        A JSON-serializable dictionary: `num_answered`; `scores` (NLL, Brier, ECE over bins of equal width and of equal
        mass, area under the risk-coverage curve), each with `value` and `bootstrap_95`, the ECEs also with `by_chance`
        (`calibration.ece_by_chance`); `reliability`, the bins of the ECE; `sets` and `selection`, whose shares have
        `value`, `wilson_95` and `bootstrap_95`; `risk_coverage`, points of the curve. None where no row was answered.
    """
    answered = predictions.select(np.array([status == OK for status in predictions.statuses]))
    if not len(answered):
        return None
    figures = _Figures(answered, bootstrap_samples)
    coverage, risk = risk_coverage(answered.probabilities.max(axis=1), answered.predicted == answered.labels)
    kept = np.unique(np.linspace(0, len(coverage) - 1, _MAX_POINTS).round().astype(int))
    return {
        "num_answered": len(answered),
        "scores": {
            "nll": figures.score("nll"),
            "brier": figures.score("brier"),
            "ece": figures.score("ece"),
            "ece_equal_mass": figures.score("ece_equal_mass"),
            "aurc": figures.score("aurc"),
        },
        "reliability": calibration.reliability(answered.probabilities, answered.labels),
        "sets": figures.sets(),
        "selection": figures.selection(),
        "risk_coverage": np.stack([coverage[kept], risk[kept]], axis=1).round(6).tolist(),
    }


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The risk-coverage curve (El-Yaniv and Wiener 2010, JMLR 11:1605-1641).

    Args:
        confidence: float [N].
        correct: bool [N].

    Returns:
        Coverage, rising from above 0 to 1, and the share of wrong answers among those accepted, float64 [K] each: one
        point for every distinct confidence, since equal ones are accepted together.
    """
    confidence, wrong = np.asarray(confidence, np.float64), ~np.asarray(correct, bool)
    order = np.argsort(-confidence, kind="stable")
    accepted = np.arange(1, len(order) + 1)
    is_last = np.append(np.diff(confidence[order]) != 0, True)[: len(order)]
    coverage, risk = accepted / max(len(order), 1), np.cumsum(wrong[order]) / accepted
    return coverage[is_last], risk[is_last]


def aurc(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the risk-coverage curve: the mean risk over all numbers of accepted predictions.

    Geifman, Uziel and El-Yaniv 2019 (ICLR), arXiv:1805.08206, equation 1. Equal confidences are accepted one after the
    other, in the order of the rows.

    Args:
        confidence: float [N].
        correct: bool [N].
        weights: how often each row counts, float [..., N]; once without it.

    Returns:
        float64 [...], 0-1; 0 where every answer is right.
    """
    order = np.argsort(-np.asarray(confidence, np.float64), kind="stable")
    weights = np.ones(len(order)) if weights is None else weights[..., order]
    accepted = np.cumsum(weights, axis=-1)
    wrong = np.cumsum(weights * ~np.asarray(correct, bool)[order], axis=-1)
    risks = np.divide(wrong, accepted, out=np.zeros_like(accepted), where=accepted > 0)
    return (weights * risks).sum(axis=-1) / weights.sum(axis=-1)


class _Figures:
    """Metrics of the rows with a prediction: as they are, and in every resample."""

    def __init__(self, answered: Predictions, bootstrap_samples: int):
        rows = np.arange(len(answered))
        self._names = answered.class_names
        self._labels = answered.labels
        self._probabilities = np.asarray(answered.probabilities, np.float64)
        self._sizes = answered.prediction_sets.sum(axis=1)
        self._is_covered = answered.prediction_sets[rows, answered.labels]
        self._is_accepted = np.array(answered.decisions) == ACCEPT
        self._is_correct = answered.predicted == answered.labels
        self._reasons = answered.reasons
        self._values = self._statistic(np.ones((1, len(answered))))
        self._bounds = intervals.group_bootstrap(
            np.array(answered.group_ids),
            self._statistic,
            samples=bootstrap_samples,
            seed=SEED,
            shifted=("ece", "ece_equal_mass"),
            rows={f"share:{name}": counts for name, (counts, _) in self._shares().items()},
        )

    def _statistic(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        answers = self._probabilities, self._labels, weights
        confidence = self._probabilities.max(axis=1)
        return {
            "nll": calibration.nll(*answers),
            "brier": calibration.brier(*answers),
            "ece": calibration.ece(*answers),
            "ece_equal_mass": calibration.ece(*answers, binning="mass"),
            "aurc": aurc(confidence, self._is_correct, weights),
            "set_size": weights @ self._sizes / weights.sum(axis=-1),
            **{f"share:{name}": _share(weights, *members) for name, members in self._shares().items()},
        }

    def _shares(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Name -> the rows that count, and those of them that are in the share."""
        everything = np.ones(len(self._labels), bool)
        shares = {
            "covered": (everything, self._is_covered),
            "accepted": (everything, self._is_accepted),
            "accepted_right": (self._is_accepted, self._is_correct),
        }
        for index, name in enumerate(self._names):
            shares[f"covered:{name}"] = (self._labels == index, self._is_covered)
            shares[f"accepted:{name}"] = (self._labels == index, self._is_accepted)
            shares[f"accepted_right:{name}"] = (self._is_accepted & (self._labels == index), self._is_correct)
        return shares

    def score(self, name: str) -> CalibrationMetric:
        """A metric that is no proportion."""
        lower, upper = self._bounds[name]
        value = jsonable.number(self._values[name][0])
        figure: CalibrationMetric = {"value": value, "bootstrap_95": jsonable.interval(lower, upper)}
        if name in _BINNINGS:
            figure["by_chance"] = calibration.ece_by_chance(
                self._probabilities, samples=_CHANCE_SAMPLES, binning=_BINNINGS[name]
            )
        return figure

    def sets(self) -> PredictionSets:
        sizes = Counter(self._sizes.tolist())
        return {
            "coverage": self._share("covered"),
            "mean_size": self.score("set_size"),
            "sizes": {str(size): sizes[size] for size in range(len(self._names) + 1)},
            "per_class": {
                name: {
                    "coverage": self._share(f"covered:{name}"),
                    "mean_size": _mean(self._sizes[self._labels == index]),
                }
                for index, name in enumerate(self._names)
            },
        }

    def selection(self) -> Selection:
        return {
            "accepted": self._share("accepted"),
            "accuracy_of_accepted": self._share("accepted_right"),
            "num_accepted": int(self._is_accepted.sum()),
            "reasons": dict(sorted(Counter(self._reasons).items())),
            "per_class": {
                name: {
                    "accepted": self._share(f"accepted:{name}"),
                    "accuracy_of_accepted": self._share(f"accepted_right:{name}"),
                }
                for name in self._names
            },
        }

    def _share(self, name: str) -> Proportion:
        counts, members = self._shares()[name]
        total, found = int(counts.sum()), int((counts & members).sum())
        figure = self.score(f"share:{name}")
        wilson = jsonable.interval(*intervals.wilson(found, total))
        return {"value": figure["value"], "wilson_95": wilson, "bootstrap_95": figure["bootstrap_95"]}


def _share(weights: np.ndarray, counts: np.ndarray, members: np.ndarray) -> np.ndarray:
    total = weights @ counts.astype(np.float64)
    found = weights @ (counts & members).astype(np.float64)
    return np.divide(found, total, out=np.full_like(total, np.nan), where=total > 0)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
