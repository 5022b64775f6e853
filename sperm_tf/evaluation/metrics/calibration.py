"""How far probabilities can be believed: NLL, Brier score, expected calibration error and the reliability diagram.

`weights` in these functions is how often each image counts, float [..., N]: once without it. Leading axes are
independent samples, so that a bootstrap asks for all its resamples at once; the result has those axes.
"""

from __future__ import annotations

import numpy as np

from sperm_tf.schemas.metrics import ReliabilityBin

BINS = 15
BINNINGS = ("width", "mass")


def nll(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean negative log-likelihood of the true class, in nats; scikit-learn's `log_loss`.

    A probability below 2.2e-16 counts as that much, or a single certain error would make the mean infinite.

    Args:
        probabilities: float [N, C].
        labels: int [N], true classes.
        weights: float [..., N].

    Returns:
        float64 [...], 0 for certainty that is always right.
    """
    probabilities, labels = _checked(probabilities, labels)
    of_truth = np.clip(probabilities[np.arange(len(labels)), labels], np.finfo(np.float64).eps, 1.0)
    return _mean(-np.log(of_truth), weights)


def brier(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Brier score, the sum form for several classes: mean over images of the sum over classes of (p - y)².

    Brier 1950, Monthly Weather Review 78:1-3. It runs from 0 to 2; for two classes it is twice the one-class form.

    Args:
        probabilities: float [N, C].
        labels: int [N], true classes.
        weights: float [..., N].

    Returns:
        float64 [...], 0-2.
    """
    probabilities, labels = _checked(probabilities, labels)
    truth = np.eye(probabilities.shape[1])[labels]
    return _mean(((probabilities - truth) ** 2).sum(axis=1), weights)


def ece(
    probabilities: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    bins: int = BINS,
    binning: str = "width",
) -> np.ndarray:
    """Expected calibration error of the top label: mean over images of |accuracy - confidence| of the image's bin.

    Naeini et al. 2015 (AAAI), Guo et al. 2017 (ICML), equation 3. It is never below what chance makes of perfectly
    calibrated probabilities, so it is higher for few images, and comparable only at equal numbers of images.

    Args:
        probabilities: float [N, C].
        labels: int [N], true classes.
        weights: float [..., N]; the bins stay those of the unweighted images.
        bins: number of bins.
        binning: `width` for bins of equal width over 0-1, `mass` for bins between quantiles of the confidence, so
            with about equally many images. A bin holds its upper edge and not its lower one.

    Returns:
        float64 [...], 0-1; NaN without weight.
    """
    probabilities, labels = _checked(probabilities, labels)
    confidence, correct = _top(probabilities, labels)
    members = _bin_index(confidence, bins, binning)
    gaps = np.eye(bins)[members] * (correct - confidence)[:, None]
    if weights is None:
        weights = np.ones(len(labels))
    gap, total = np.abs(weights @ gaps).sum(axis=-1), weights.sum(axis=-1)
    return np.divide(gap, total, out=np.full(np.shape(total), np.nan), where=total > 0)[()]  # a number, not an array []


def ece_by_chance(
    probabilities: np.ndarray, *, samples: int, seed: int = 0, bins: int = BINS, binning: str = "width"
) -> float:
    """The mean of `ece` if the probabilities were perfectly calibrated: what chance alone makes of so many images.

    Consistency resampling (Broecker and Smith 2007, Weather and Forecasting 22:651-661): every answer is right as often
    as its probability says. Images are drawn independently; where some belong together, chance makes a little more.

    Args:
        probabilities: float [N, C].
        samples: number of draws.
        seed: of the draws.
        bins: as for `ece`.
        binning: as for `ece`.

    Returns:
        0-1.
    """
    probabilities, _ = _checked(probabilities, np.zeros(len(probabilities), int))
    confidence = probabilities.max(axis=1)
    members = np.eye(bins)[_bin_index(confidence, bins, binning)]
    rng = np.random.default_rng(seed)
    drawn = [
        np.abs(((rng.random(len(confidence)) < confidence) - confidence) @ members).sum() / len(confidence)
        for _ in range(samples)
    ]
    return float(np.mean(drawn))


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, *, bins: int = BINS, binning: str = "width"
) -> list[ReliabilityBin]:
    """The bins of `ece` that hold an image, from low to high confidence.

    Returns:
        Dictionaries with `count`, `confidence` (mean probability of the predicted class, 0-1) and `accuracy` (share of
        right predictions, 0-1).
    """
    probabilities, labels = _checked(probabilities, labels)
    confidence, correct = _top(probabilities, labels)
    members = _bin_index(confidence, bins, binning)
    return [
        {
            "count": int((members == index).sum()),
            "confidence": float(confidence[members == index].mean()),
            "accuracy": float(correct[members == index].mean()),
        }
        for index in np.unique(members)
    ]


def _checked(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ValueError(
            f"probabilities must be [N, C] and labels [N], N at least 1. Received: probabilities "
            f"{list(probabilities.shape)}, labels {list(labels.shape)}. Pass one row of probabilities a label."
        )
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(
            f"labels must be 0-{probabilities.shape[1] - 1}. Received: labels from {labels.min()} to {labels.max()}. "
            f"Pass indices into the columns of probabilities."
        )
    return probabilities, labels.astype(np.int64)


def _top(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predicted = probabilities.argmax(axis=1)
    return probabilities[np.arange(len(labels)), predicted], (predicted == labels).astype(np.float64)


def _bin_index(confidence: np.ndarray, bins: int, binning: str) -> np.ndarray:
    """Bin of every image, int [N]; the same edges as scikit-learn's `calibration_curve`."""
    if bins < 1:
        raise ValueError(f"bins must be at least 1. Received: bins={bins}. {BINS} is customary.")
    if binning not in BINNINGS:
        raise ValueError(f"binning must be one of {', '.join(BINNINGS)}. Received: binning={binning!r}. Use one.")
    shares = np.linspace(0, 1, bins + 1)
    edges = shares if binning == "width" else np.quantile(confidence, shares)
    return np.searchsorted(edges[1:-1], confidence, side="left")


def _mean(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    if weights is None:
        weights = np.ones(len(values))
    return weights @ values / weights.sum(axis=-1)
