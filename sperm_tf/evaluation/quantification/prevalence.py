"""How many images of a slide belong to each class, beyond how often the model said so.

To classify and count (CC) is not enough: a model that misclassifies 13 of 100 abnormal spermatozoa as normal finds at
least 13 % normal forms on every slide. How often each class is misclassified as each other one is known from the
calibration images, and the count can be corrected for it (adjusted classify and count, ACC; Rogan and Gladen 1978,
American Journal of Epidemiology 107:71-76, for two classes): here for any number, as the shares that make the answers
most likely. That holds as long as the images of each *class* are like the calibration images of that class;
how often each class occurs may be as different as it likes. Where the answers are such as no mix of the classes would
give, it does not hold, and nothing is corrected.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sperm_tf.evaluation.metrics.intervals import wilson

Estimate = tuple[float, tuple[float, float]]
"""A share, 0-1, and its 95 % interval."""
_NUM_DRAWS = 2000
_MAX_ITERATIONS, _TOLERANCE = 2000, 1e-8
_JEFFREYS = 0.5
_MIN_FIT = 0.05
_ALMOST_ZERO = 0.01  # deviance that expectation maximization may leave of none


def estimate_shares(answers: npt.ArrayLike, errors: npt.ArrayLike) -> np.ndarray:
    """The shares of the classes that make the predictions most likely.

    Expectation maximization for a mixture whose parts are known (Saerens, Latinne and Decaestecker 2002, Neural
    Computation 14:21-41, section 2.2, of answers instead of probabilities). Shares stay within 0-1, where inverting the
    errors, as Rogan and Gladen do, may leave it. Where the answers hardly tell the classes apart it creeps, so each two
    steps are extrapolated (SQUAREM; Varadhan and Roland 2008, Scandinavian Journal of Statistics 35:335-353).

    Args:
        answers: [..., C], number of images, or share of them, that were given each class; not all zero.
        errors: float [..., C, C], probability of each answer (columns) to an image of each class (rows).

    Returns:
        float64 [..., C], sums to 1.
    """
    counts, probabilities = np.asarray(answers, np.float64), np.asarray(errors, np.float64)
    shape = np.broadcast_shapes(counts.shape, probabilities.shape[:-1])
    seen = np.broadcast_to(counts / counts.sum(axis=-1, keepdims=True), shape).reshape(-1, shape[-1])
    probabilities = np.broadcast_to(probabilities, (*shape, shape[-1])).reshape(-1, shape[-1], shape[-1])
    shares = np.full(seen.shape, 1 / shape[-1])
    waiting = np.arange(len(seen))  # the mixes that still move: a few near zero creep long after all others stand still
    for _ in range(_MAX_ITERATIONS):
        before = shares[waiting]
        shares[waiting] = _leap(before, seen[waiting], probabilities[waiting])
        waiting = waiting[np.abs(shares[waiting] - before).max(axis=-1, initial=0) >= _TOLERANCE]
        if not len(waiting):
            break
    return shares.reshape(shape)


def _leap(before: np.ndarray, seen: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Two steps of expectation maximization, extrapolated where that leaves no share below zero, and a third."""
    first = _maximize(before, seen, probabilities)
    second = _maximize(first, seen, probabilities)
    change = first - before
    bend = second - first - change
    size, curve = (np.linalg.norm(values, axis=-1, keepdims=True) for values in (change, bend))
    length = np.divide(size, curve, out=np.ones_like(size), where=curve > 0)
    leap = before + 2 * length * change + length**2 * bend
    return _maximize(np.where((leap > 0).all(axis=-1, keepdims=True), leap, second), seen, probabilities)


def _maximize(shares: np.ndarray, seen: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """One step of expectation maximization."""
    expected = np.einsum("...i,...ij->...j", shares, probabilities)
    ratio = np.divide(seen, expected, out=np.zeros_like(expected), where=expected > 0)
    shares = shares * np.einsum("...ij,...j->...i", probabilities, ratio)
    return shares / shares.sum(axis=-1, keepdims=True)


def estimate_part(
    answers: npt.ArrayLike, confusion: npt.ArrayLike, *, part: npt.ArrayLike, whole: npt.ArrayLike
) -> Estimate | None:
    """The share of some classes among others, such as normal forms among spermatozoa, corrected for errors.

    The interval takes in that the answers are few, and that the calibration images were: both are drawn anew, from
    Dirichlet distributions with Jeffreys' prior. It is never narrower than that of a count by a model without errors
    (Wilson's).

    Args:
        answers: [C], number of images that were given each class.
        confusion: [C, C], calibration images by class (rows) and answer (columns).
        part: [C], the classes to count.
        whole: [C], the classes to count them among.

    Returns:
        Share, 0-1, and its 95 % interval; None without an image of `whole`, where `error_rates` knows none, or where
        no shares explain the answers: `fit` gives them a probability under 0.05, or no calibration image was answered
        by any of these classes.
    """
    counts, known = np.asarray(answers, np.float64), np.asarray(confusion, np.float64)
    is_part, is_whole = np.asarray(part, bool), np.asarray(whole, bool)
    if error_rates(known, part=is_part, whole=is_whole) is None or not counts[is_whole].sum():
        return None
    if fit(counts, known) < _MIN_FIT or not counts[known.any(axis=0)].any():
        return None
    shares = estimate_shares(counts, known / known.sum(axis=1, keepdims=True))
    drawn, _ = _draw(counts, known, np.random.default_rng(0))
    low, high = np.quantile(_share(drawn, is_part, is_whole), [0.025, 0.975])
    share = float(_share(shares, is_part, is_whole))
    num_whole = counts[is_whole].sum()
    least, most = wilson(share * num_whole, num_whole)
    return share, (min(float(low), least, share), max(float(high), most, share))


def estimate_wrong(
    answers: npt.ArrayLike,
    confusion: npt.ArrayLike,
    confident: npt.ArrayLike,
    *,
    part: npt.ArrayLike,
    num_accepted: int,
) -> Estimate | None:
    """How many of the accepted predictions of some classes, such as normal forms, are likely wrong on this slide.

    A threshold promises how often accepted answers are wrong for the mix of classes that the calibration images have.
    On a slide where a class is rarer, more of the accepted answers that name it are wrong: by Bayes' theorem, with the
    shares of `estimate_shares` as the prior. The interval is that of a prediction: the shares, the errors and how often
    they are accepted are drawn as in `estimate_part`, and then the answers themselves.

    Args:
        answers: as for `estimate_part`.
        confusion: as for `estimate_part`.
        confident: [C, C], those of the images of `confusion` whose answer would be accepted.
        part: [C], the classes to count.
        num_accepted: accepted answers on this slide that name them.

    Returns:
        Share of these answers, 0-1, whose image belongs to another class than those of `part`, the mean of the draws
        (the most likely mix may have no image of `part` at all, which would call all of them wrong), and its interval.
        None without such answers, or calibration images that are answered so, and where `estimate_part` gives none for
        the errors that it is told.
    """
    counts, known, sure = (np.asarray(values, np.float64) for values in (answers, confusion, confident))
    is_part = np.asarray(part, bool)
    if not num_accepted or not sure.size or not known.sum(axis=1).all() or not sure[:, is_part].sum():
        return None
    if fit(counts, known) < _MIN_FIT:
        return None
    generator = np.random.default_rng(2)
    shares, errors = _draw(counts, known, generator)
    accepted = generator.beta(sure + _JEFFREYS, known - sure + _JEFFREYS, size=errors.shape)
    wrong = _wrong_share(shares, errors * accepted, is_part)
    low, high = np.quantile(generator.binomial(num_accepted, wrong) / num_accepted, [0.025, 0.975])
    share = float(wrong.mean())
    return share, (min(float(low), share), max(float(high), share))


def fit(answers: npt.ArrayLike, confusion: npt.ArrayLike) -> float:
    """How well the most likely shares explain the predictions, as a posterior predictive p-value.

    A model that takes 13 of 100 abnormal spermatozoa for normal ones will hardly call 3 of 400 normal, whatever is on
    the slide: if it does, its errors here are others than those that are known. The measure is the deviance, of the
    answers and of answers drawn from the shares; in both the errors are drawn anew, as in `estimate_part` (Rubin 1984,
    Annals of Statistics 12:1151-1172).

    Args:
        answers: [C], as for `estimate_part`; not all zero.
        confusion: [C, C], as for `estimate_part`; every class has images.

    Returns:
        Probability, 0-1, of answers that are explained as badly as these.
    """
    generator = np.random.default_rng(1)
    counts = np.asarray(answers, np.int64)
    errors = _draw_errors(confusion, generator)
    expected = _expect(np.broadcast_to(counts, (_NUM_DRAWS, len(counts))), errors)
    drawn = generator.multinomial(counts.sum(), expected)
    found, chance = _deviance(counts, expected), _deviance(drawn, _expect(drawn, errors))
    return float((chance + _ALMOST_ZERO >= found).mean())


def error_rates(confusion: npt.ArrayLike, *, part: npt.ArrayLike, whole: npt.ArrayLike) -> tuple[float, float] | None:
    """How often images are classified as some classes, such as normal forms.

    Args:
        confusion: as for `estimate_part`.
        part: [C], the classes to count.
        whole: [C], the classes to count them among.

    Returns:
        Shares, 0-1, of the other images of `whole` and of those of `part` that are taken for `part`: 1 - specificity,
        and sensitivity. None where not every class has a calibration image, or `whole` has no other class.
    """
    known = np.asarray(confusion, np.float64)
    is_part, is_whole = np.asarray(part, bool), np.asarray(whole, bool)
    if not known.size or not known.sum(axis=1).all() or not (is_whole & ~is_part).any():
        return None
    wrongly, rightly = (known[rows][:, is_part].sum() / known[rows].sum() for rows in (is_whole & ~is_part, is_part))
    return float(wrongly), float(rightly)


def _draw(counts: np.ndarray, known: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Shares [D, C] and errors [D, C, C] from Dirichlet distributions with Jeffreys' prior."""
    errors = _draw_errors(known, generator)
    return estimate_shares(generator.dirichlet(counts + _JEFFREYS, size=_NUM_DRAWS), errors), errors


def _draw_errors(confusion: npt.ArrayLike, generator: np.random.Generator) -> np.ndarray:
    return np.stack([generator.dirichlet(row + _JEFFREYS, size=_NUM_DRAWS) for row in np.asarray(confusion)], axis=1)


def _wrong_share(shares: np.ndarray, rates: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Of the accepted predictions that name `part`, those whose image is of another class."""
    by_class = shares * rates[..., part].sum(axis=-1)
    wrong = by_class[..., ~part].sum(axis=-1) / np.maximum(by_class.sum(axis=-1), 1e-12)
    return np.minimum(wrong, 1.0)  # sums of eight or more are rounded in another order


def _expect(counts: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Probabilities of the predictions by the most likely shares."""
    expected = np.einsum("...i,...ij->...j", estimate_shares(counts, errors), errors)
    return expected / expected.sum(axis=-1, keepdims=True)


def _deviance(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    images = counts.sum(axis=-1, keepdims=True) * expected
    return 2 * (counts * np.log(np.where(counts > 0, counts, 1) / np.where(counts > 0, images, 1))).sum(axis=-1)


def _share(shares: np.ndarray, part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    found = shares[..., part & whole].sum(axis=-1) / np.maximum(shares[..., whole].sum(axis=-1), 1e-12)
    return np.minimum(found, 1.0)
