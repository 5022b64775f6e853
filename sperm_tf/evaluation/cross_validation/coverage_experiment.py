"""What a count of normal forms would be worth, tried out of fold on slides whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from sperm_tf.evaluation.cross_validation import oof
from sperm_tf.evaluation.metrics.intervals import wilson
from sperm_tf.evaluation.metrics.predictions import Predictions
from sperm_tf.evaluation.quantification.class_roles import ClassRoles, RolesError, default_roles
from sperm_tf.evaluation.quantification.prevalence import estimate_part, estimate_wrong
from sperm_tf.schemas.cross_validation import AcceptedOnSlides, CountedSlides
from sperm_tf.served_names import ACCEPT

TRUE_SHARES = (0.0, 0.04, 0.15, 0.5)
"""Shares of normal forms among spermatozoa: none, the WHO manual's lower reference limit, more, and half."""
_SLACK = 1e-3  # what holds the truth: no interval of draws reaches zero itself


def describe(table: pd.DataFrame, decided: Sequence[Predictions]) -> list[CountedSlides]:
    """Counts slides that are made of test images, with and without correction for the model's errors.

    Every test fold of every repeat makes one slide for each of `TRUE_SHARES`: all its images but normal forms, and as
    many normal forms, drawn at random, as that takes. The errors that the count is corrected by are those of the other
    folds' answers, as a released model knows them.

    Args:
        table: as `sperm_tf.evaluation.cross_validation.oof` has it, of complete repeats.
        decided: the same answers, accepted or referred, for each repeat.

    Returns:
        A dictionary for each share that the images suffice for: `true_share`, `num_slides`, of how many the count could
        be corrected, `num_corrected`; the means `true`, `counted` and `corrected`, their root mean square errors
        `counted_error` and `corrected_error`, and of how many slides the interval holds the truth, `counted_held`
        (Wilson's) and `corrected_held`. What is said of corrected counts is of those alone; shares of which none could
        be corrected are left out. Of `num_foretold` slides, those with accepted normal forms and a corrected count:
        `wrong`, the mean share of these that are none, `foretold`, what `prevalence.estimate_wrong` says of it,
        `foretold_error`, `foretold_held` and the mean width of its interval, `foretold_width`; none of these where
        there is no such slide. Empty where the names of the classes do not say which are normal forms.
    """
    try:
        roles = default_roles(oof.class_names(table))
    except RolesError:
        return []
    test = oof.select(table, part=oof.TEST)
    answered = [
        rows.assign(is_accepted=rows["image_id"].map(_find_accepted(repeat)))
        for (_, rows), repeat in zip(test.groupby("repeat", sort=True), decided, strict=True)
    ]
    found = []
    for true_share in TRUE_SHARES:
        slides = [
            _count_slide(rows, fold, true_share, roles) for rows in answered for fold in sorted(rows["fold"].unique())
        ]
        whole = [slide for slide in slides if slide is not None]
        if len(whole) == len(slides) and any(np.isfinite(slide["corrected"]) for slide in whole):
            counted = {"true_share": true_share, "num_slides": len(slides), **_summarize(whole)}
            found.append(cast(CountedSlides, counted))
    return found


def describe_accepted(decided: Sequence[Predictions]) -> list[AcceptedOnSlides]:
    """Metrics of accepted predictions on slides with other shares of normal forms than the dataset has.

    Every normal spermatozoon gets one weight and every other one another, so that together they make the slide. What is
    no spermatozoon is left out: how much of it there is says nothing of the sample.

    Args:
        decided: answers to the same images, one for each repeat; the repeats are pooled.

    Returns:
        For each of `TRUE_SHARES` but zero: `true_share`, the share of spermatozoa whose answer is `accepted`, and the
        shares of accepted answers that are wrong, 0-1: `wrong_normal` of those that name a normal form, `wrong_other`
        of the rest; None without such answers. Empty where nothing is accepted, where the names of the classes do not
        say which are normal forms, or where one kind has no image.
    """
    try:
        roles = default_roles(tuple(decided[0].class_names))
    except RolesError:
        return []
    is_normal, is_sperm = np.array(roles.is_normal), np.array(roles.is_sperm)
    labels = np.concatenate([repeat.labels for repeat in decided])
    answers = np.concatenate([repeat.predicted for repeat in decided])
    is_accepted = np.concatenate([np.array(repeat.decisions) == ACCEPT for repeat in decided])
    normal, other = is_normal[labels], is_sperm[labels] & ~is_normal[labels]
    if not (normal.any() and other.any() and is_accepted.any()):
        return []
    found: list[AcceptedOnSlides] = []
    for share in TRUE_SHARES[1:]:
        weights = share * normal / normal.sum() + (1 - share) * other / other.sum()
        names_normal = is_accepted & is_normal[answers]
        found.append(
            {
                "true_share": share,
                "accepted": float(weights[is_accepted].sum()),
                "wrong_normal": _mean(answers != labels, weights * names_normal),
                "wrong_other": _mean(answers != labels, weights * (is_accepted & ~names_normal)),
            }
        )
    return found


def _mean(values: np.ndarray, weights: np.ndarray) -> float | None:
    total = weights.sum()
    return float((values * weights).sum() / total) if total else None


def _find_accepted(decided: Predictions) -> dict[str, bool]:
    return {name: decision == ACCEPT for name, decision in zip(decided.image_ids, decided.decisions, strict=True)}


def _count_slide(rows: pd.DataFrame, fold: int, true_share: float, roles: ClassRoles) -> dict[str, float] | None:
    """One slide; None where the fold has too few normal forms, or no other spermatozoa."""
    is_normal, is_sperm = np.array(roles.is_normal), np.array(roles.is_sperm)
    labels, answers = oof.labels(rows), oof.probabilities(rows).argmax(axis=1)
    is_tested, is_accepted = rows["fold"].to_numpy() == fold, rows["is_accepted"].to_numpy(bool)
    confusion, confident = (
        confusion_matrix(labels[known], answers[known], labels=range(len(is_normal))) if known.any() else []
        for known in (~is_tested, ~is_tested & is_accepted)
    )
    others = np.flatnonzero(is_tested & ~is_normal[labels])
    normal = np.flatnonzero(is_tested & is_normal[labels])
    num_others = int(is_sperm[labels[others]].sum())
    num_normal = round(true_share / (1 - true_share) * num_others)
    if not num_others or num_normal > len(normal):
        return None
    chosen = np.concatenate([others, np.random.default_rng(fold).choice(normal, num_normal, replace=False)])
    counts = np.bincount(answers[chosen], minlength=len(is_normal))
    estimate = estimate_part(counts, confusion, part=is_normal, whole=is_sperm)
    named = chosen[is_accepted[chosen] & is_normal[answers[chosen]]]
    foretold = estimate_wrong(counts, confusion, confident, part=is_normal, num_accepted=len(named))
    wrong = float(np.mean(~is_normal[labels[named]])) if foretold else np.nan
    likely, (fewest, largest) = foretold or (np.nan, (np.nan, np.nan))
    truth, num_sperm = num_normal / (num_normal + num_others), int(counts[is_sperm].sum())
    num_counted = int(counts[is_normal].sum())
    corrected, (low, high) = estimate or (np.nan, (np.nan, np.nan))
    least, most = wilson(num_counted, num_sperm)
    return {
        "true": truth,
        "counted": num_counted / num_sperm if num_sperm else np.nan,
        "corrected": corrected,
        "counted_held": float(least - _SLACK <= truth <= most),
        "corrected_held": float(low - _SLACK <= truth <= high),
        "wrong": wrong,
        "foretold": likely,
        "foretold_width": largest - fewest,
        "foretold_held": float(fewest - _SLACK <= wrong <= largest + _SLACK),
    }


def _summarize(slides: list[dict[str, float]]) -> dict[str, Any]:
    columns = {name: np.array([slide[name] for slide in slides]) for name in slides[0]}
    found: dict[str, Any] = {f"num_{name}": int(np.isfinite(columns[name]).sum()) for name in ("corrected", "foretold")}
    for name, truth in (("counted", "true"), ("corrected", "true"), ("foretold", "wrong")):
        if np.isfinite(columns[name]).any():
            found[truth], found[name] = float(np.nanmean(columns[truth])), float(np.nanmean(columns[name]))
            found[f"{name}_error"] = float(np.sqrt(np.nanmean((columns[name] - columns[truth]) ** 2)))
            found[f"{name}_held"] = int(columns[f"{name}_held"].sum())
    if found["num_foretold"]:
        found["foretold_width"] = float(np.nanmean(columns["foretold_width"]))
    return found
