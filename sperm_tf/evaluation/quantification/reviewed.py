"""Counts after review: what people said of images takes the place of the model's predictions."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sperm_tf.served_names import ACCEPT, OK, REFER

if TYPE_CHECKING:
    import pandas as pd

REVIEWED, CANNOT_TELL = "reviewed", "cannot_tell"
"""Reasons of reviewed images, in the place of the model's: a person named the class, or could not."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The last verdict of a person on an image.

    Attributes:
        label: the class that the person named; empty where they could not tell.
        reviewer: their initials; may be empty.
    """

    label: str
    reviewer: str


@dataclasses.dataclass(frozen=True)
class Review:
    """What became of the images of a slide, or of a replicate, in review.

    Attributes:
        num_reviewed: readable images with a verdict.
        num_referred_reviewed: those of them that the model had referred.
        num_changed: those whose class is another than the model's answer.
        num_cannot_tell: those that the person could not tell; they count as the model answered, and stay open.
        num_open: images that a person still has to look at, those included.
        reviewers: initials -> images, the most first; images without initials under an empty name.
        num_removed: cells of fields that are none, as people found; they are not among the images.
        num_added: cells of fields that people added; they are not among the images.
    """

    num_reviewed: int
    num_referred_reviewed: int
    num_changed: int
    num_cannot_tell: int
    num_open: int
    reviewers: Mapping[str, int]
    num_removed: int = 0
    num_added: int = 0


def apply(scores: pd.DataFrame, verdicts: Mapping[str, Verdict]) -> pd.DataFrame:
    """The scores as they stand after review.

    Args:
        scores: the columns of `sperm_tf.evaluation.quantification.scores_file`.
        verdicts: SHA-256 of a file -> the last verdict on it; copies of a file share it.

    Returns:
        The same rows. Where a person named the class, it is the `predicted_class` and the image is accepted; where
        they could not tell, it is referred. All others stay as they are.
    """
    after = scores.copy()
    found = _find(scores, verdicts)
    is_named, is_open = found.map(bool), found == ""
    after.loc[is_named, "predicted_class"] = found[is_named]
    after.loc[is_named, ["decision", "reason"]] = [ACCEPT, REVIEWED]
    after.loc[is_open, ["decision", "reason"]] = [REFER, CANNOT_TELL]
    return after


def describe(scores: pd.DataFrame, verdicts: Mapping[str, Verdict]) -> Review:
    """Counts verdicts.

    Args:
        scores: before review, as for `apply`.
        verdicts: as for `apply`.
    """
    found = _find(scores, verdicts)
    is_reviewed, is_named = found.notna(), found.map(bool)
    is_referred = (scores["status"] == OK) & (scores["decision"] == REFER)
    digests = scores["sha256"][is_reviewed]
    return Review(
        num_reviewed=int(is_reviewed.sum()),
        num_referred_reviewed=int((is_reviewed & is_referred).sum()),
        num_changed=int((is_named & (found != scores["predicted_class"])).sum()),
        num_cannot_tell=int((is_reviewed & ~is_named).sum()),
        num_open=int((is_referred & ~is_named).sum() + (~is_referred & (found == "")).sum()),
        reviewers=dict(Counter(verdicts[digest].reviewer for digest in digests).most_common()),
    )


def _find(scores: pd.DataFrame, verdicts: Mapping[str, Verdict]) -> pd.Series:
    """Of every row the class that a person named; empty where they could not tell, None without a verdict."""
    labels = {digest: verdict.label for digest, verdict in verdicts.items()}
    readable = scores["status"] == OK
    pairs = zip(scores["sha256"], readable, strict=True)
    found = scores["status"].astype(object)
    found[:] = [labels.get(digest) if is_read else None for digest, is_read in pairs]
    return found
