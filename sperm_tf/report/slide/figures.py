"""The percentage of normal forms of a slide: the number that leads, and the table of all ways to count it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from sperm_tf.evaluation.quantification import counts as slide_lib
from sperm_tf.evaluation.quantification.class_roles import ClassRoles
from sperm_tf.evaluation.quantification.counts import Count, Slide
from sperm_tf.evaluation.quantification.reviewed import Review
from sperm_tf.report import text

CORRECTED, AFTER_REVIEW, COUNTED, NOT_ESTIMATED = "corrected", "after_review", "counted", "not_estimated"
SCOPE_NOTE = (
    "Not in this report, and part of a full morphology report: the defects of head, midpiece, tail and cytoplasm, each "
    "counted, and the teratozoospermia index (TZI) made of them; one class for each image cannot give them. No "
    "reference limit is printed: the WHO manual's describes fertile men counted by people, and is no threshold of "
    "fertility."
)
_NOT_CORRECTED = {
    slide_lib.NO_ERRORS_KNOWN: "the model's errors are not known",
    slide_lib.MOSTLY_UNFAMILIAR: "most images are unlike those of the training",
    slide_lib.NOTHING_TO_COUNT: "there is no spermatozoon",
    slide_lib.NO_MIX_FITS: "the model errs differently on these images",
}
_SENTENCES = {
    CORRECTED: "An estimate of the normal forms among spermatozoa: the model's answers, corrected for the errors that "
    "it is known to make.",
    AFTER_REVIEW: "The normal forms among spermatozoa, counted with people's classes for all images that needed them.",
    COUNTED: "The normal forms among spermatozoa as the model classified them, not corrected for its errors: it may be "
    "far off.",
    NOT_ESTIMATED: "Not estimated: most images are unlike those that the model was trained on, so its classes say "
    "little about them. Until a person has reviewed them (pipelines.review), the range below is all that is known.",
}
_SHORT = {
    CORRECTED: "corrected",
    AFTER_REVIEW: "after review",
    COUNTED: "not corrected",
    NOT_ESTIMATED: "not estimated",
}


@dataclasses.dataclass(frozen=True)
class Reviewed:
    """A slide after review.

    Attributes:
        slide: its counts with the people's classes.
        review: what they did.
    """

    slide: Slide
    review: Review

    @property
    def is_complete(self) -> bool:
        """Whether people named the class of every readable image: nothing of the model's is left in the count."""
        num_named = self.review.num_reviewed + self.review.num_added
        return num_named == self.slide.total.num_readable and not self.review.num_open


def describe_figures(
    slide: Slide, roles: ClassRoles, num_calibration: int, reviewed: Reviewed | None
) -> dict[str, Any]:
    """The number that leads, and the table behind it.

    The number is the corrected one; a count after review goes before it where people looked at every image, and takes
    its place where nothing can be corrected and no image is open. Where most images are out of distribution there is
    none before review: no error of the model is known on such images, and its interval would be that of the counting
    alone.

    Args:
        slide: its counts, as the model answered.
        roles: of the classes.
        num_calibration: images that the model's errors are known from.
        reviewed: the same after review; None without one.
    """
    total = slide.total
    lead = _choose(total, reviewed)
    after = reviewed.slide.total if reviewed else total
    share, interval = total.normal_share, total.interval
    if lead == CORRECTED and total.corrected:
        share, interval = total.corrected
    elif lead == AFTER_REVIEW:
        share, interval = after.normal_share, after.interval
    elif lead == NOT_ESTIMATED:
        share, interval = math.nan, (math.nan, math.nan)
    return {
        "lead": lead,
        "share": share,
        "percent": text.percent(share),
        "interval": text.percent_interval(interval),
        "interval_bounds": list(interval),
        "is_defined": math.isfinite(share),
        "sentence": _SENTENCES[lead],
        "how": _SHORT[lead],
        "is_corrected": total.corrected is not None,
        "counted_share": total.normal_share,
        "is_open": after.num_referred > 0,
        "reviewed": text.percent(after.normal_share) if reviewed else text.percent_interval(after.bounds),
        "bounds_bounds": list(after.bounds),
        "rows": [
            _describe_corrected(total, num_calibration),
            _describe_counted(total),
            _describe_reviewed(total, reviewed),
            *_describe_range(after, reviewed),
        ],
        "denominators": _describe_denominators(total, roles),
        "review": describe_review(total, reviewed),
    }


def describe_review(total: Count, reviewed: Reviewed | None) -> str:
    """Who looked at what, in one sentence; empty without a review."""
    if reviewed is None:
        return ""
    review = reviewed.review
    people = text.listing([f"{name or 'without initials'} ({number})" for name, number in review.reviewers.items()])
    corrected = (
        f" False detections taken out of the fields: {review.num_removed}; missed cells added, which count after "
        f"review: {review.num_added}."
        if review.num_removed or review.num_added
        else ""
    )
    told = f", {review.num_cannot_tell} could not be told" if review.num_cannot_tell else ""
    return (
        f"{text.plural(review.num_reviewed, 'image')} reviewed{f' by {people}' if people else ''}: "
        f"{text.plural(review.num_changed, 'class', 'classes')} changed{told}. Of {total.num_referred} referred images "
        f"{review.num_referred_reviewed} were looked at; still to be decided: {review.num_open}.{corrected}"
    )


def _choose(total: Count, reviewed: Reviewed | None) -> str:
    if reviewed and reviewed.is_complete:
        return AFTER_REVIEW
    if total.corrected:
        return CORRECTED
    if reviewed is not None and reviewed.review.num_reviewed and not reviewed.review.num_open:
        return AFTER_REVIEW
    return NOT_ESTIMATED if total.correction == slide_lib.MOSTLY_UNFAMILIAR else COUNTED


def _row(name: str, share: float, interval: Any, of: str, method: str) -> dict[str, str]:
    return {
        "name": name,
        "percent": text.percent(share),
        "interval": text.percent_interval(interval) or text.NOTHING,
        "of": of,
        "method": method,
    }


def _describe_corrected(total: Count, num_calibration: int) -> dict[str, str]:
    if total.corrected is None:
        return _row("Corrected", math.nan, None, text.NOTHING, f"not corrected: {_NOT_CORRECTED[total.correction]}")
    images = f"{text.count(num_calibration)} calibration images"
    return _row(
        "Corrected", *total.corrected, text.NOTHING, f"adjusted classify and count (ACC), by errors on {images}"
    )


def _describe_counted(total: Count) -> dict[str, str]:
    method = "classify and count (CC): the model's class of every image"
    if total.correction == slide_lib.MOSTLY_UNFAMILIAR:
        method += "; no interval, since no error of the model is known on such images"
        return _row("Counted", total.normal_share, None, _write_of(total), method)
    return _row("Counted", total.normal_share, total.interval, _write_of(total), method)


def _describe_reviewed(total: Count, reviewed: Reviewed | None) -> dict[str, str]:
    if reviewed is None:
        done = "no review given" if total.num_referred else "no image is referred"
        return _row("After review", math.nan, None, text.NOTHING, done)
    after = reviewed.slide.total
    method = "people's classes where they gave one, the model's elsewhere"
    return _row("After review", after.normal_share, after.interval, _write_of(after), method)


def _describe_range(after: Count, reviewed: Reviewed | None) -> list[dict[str, str]]:
    """Where the count can end while images are open."""
    if not after.num_referred:
        return []
    name = "Range, all reviewed" if reviewed else "Range after review"
    method = f"{text.plural(after.num_referred, 'referred image')}: none, or all, normal forms"
    return [_row(name, math.nan, None, text.NOTHING, method) | {"percent": text.percent_interval(after.bounds)}]


def _write_of(total: Count) -> str:
    return f"{text.count(total.num_normal)} of {text.count(total.num_sperm)}"


def _describe_denominators(total: Count, roles: ClassRoles) -> str:
    """What is in the denominator, and what is not."""
    parts = [text.plural(total.num_sperm, "spermatozoon", "spermatozoa")]
    if roles.not_sperm:
        others = sum(total.classes[name] for name in roles.not_sperm)
        parts.append(f"{text.count(others)} of other objects ({text.listing(list(roles.not_sperm))}), not counted")
    parts.append(f"{text.count(total.num_unreadable)} without an answer, not counted")
    return f"Of {text.plural(total.num_files, 'image')} as the model classified them: {'; '.join(parts)}."
