"""Selective classification: a threshold of confidence with a guaranteed risk."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Guarantee:
    """A confidence from which predictions are accepted.

    Attributes:
        threshold: lowest confidence, 0-1, of an accepted answer; infinity where nothing could be guaranteed.
        risk_bound: share of wrong answers among the accepted ones that is exceeded with probability `delta` at most;
            NaN where nothing could be guaranteed.
        coverage: share of the images held aside that is accepted.
        num_accepted: number of them.
    """

    threshold: float
    risk_bound: float
    coverage: float
    num_accepted: int


def risk_bound(num_wrong: int, num_accepted: int, delta: float) -> float:
    """Clopper and Pearson's upper bound of a share of which `num_wrong` of `num_accepted` were seen.

    Lemma 3.1 of Geifman and El-Yaniv 2017: the b at which Binomial(num_accepted, b) gives `num_wrong` or fewer with
    probability `delta`.
    """
    if num_wrong >= num_accepted:
        return 1.0
    return float(stats.beta.ppf(1 - delta, num_wrong + 1, num_accepted - num_wrong))


def guarantee(confidence: np.ndarray, correct: np.ndarray, *, max_risk: float, delta: float) -> Guarantee:
    """Finds a threshold that accepts many predictions with a guaranteed share of wrong ones.

    Selection with guaranteed risk, Geifman and El-Yaniv 2017 (NeurIPS), arXiv:1705.08500, algorithm 1: a binary search
    over the thresholds, of ceil(log2 n) steps. It never looks below the median where that one fails, although few
    images bound the risk of all answers better than that of half of them; so accepting everything is tried, too, and
    each of the ceil(log2 n) + 1 bounds may fail with an equal part of `delta`. Of those that hold what is asked for,
    the one with the highest coverage is kept. The guarantee is for images that could change places with these, which
    includes how often each class occurs; with probability `delta` over their choice it is broken.

    Args:
        confidence: float [n], probability of the answer to each image held aside.
        correct: bool [n], whether the answer is right.
        max_risk: highest tolerated share of wrong answers among the accepted ones, 0-1 exclusive.
        delta: probability, 0-1 exclusive, with which the guarantee may fail.

    Raises:
        ValueError: the shapes do not fit, or a share is none.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    if confidence.ndim != 1 or correct.shape != confidence.shape:
        raise ValueError(
            f"confidence and correct must be [n]. Received: shapes {confidence.shape} and {correct.shape}. Pass one of "
            "each for every image."
        )
    for name, value in (("max_risk", max_risk), ("delta", delta)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1. Received: {name}={value}. 0.05 is customary.")
    count = len(confidence)
    best = Guarantee(math.inf, math.nan, 0.0, 0)
    if not count:
        return best
    num_steps = max(1, math.ceil(math.log2(count)))
    thresholds = np.sort(confidence)

    def try_threshold(threshold: float) -> Guarantee:
        accepted = confidence >= threshold
        num_accepted = int(accepted.sum())
        bound = risk_bound(int((accepted & ~correct).sum()), num_accepted, delta / (num_steps + 1))
        return Guarantee(float(threshold), bound, num_accepted / count, num_accepted)

    everything = try_threshold(thresholds[0])
    if everything.risk_bound <= max_risk:
        return everything
    lowest, highest = 0, count - 1
    for _ in range(num_steps):
        middle = math.ceil((lowest + highest) / 2)
        found = try_threshold(thresholds[middle])
        if found.risk_bound <= max_risk:
            best = max(best, found, key=lambda guarantee: guarantee.num_accepted)
            highest = middle
        else:
            lowest = middle
    return best
