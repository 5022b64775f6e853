"""The verdicts of a review, matched to the images of scores."""

from __future__ import annotations

import pathlib

from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.evaluation.quantification.reviewed import Verdict
from sperm_tf.review.last_verdicts import read_reviews


class ReviewsError(ValueError):
    """Reviews that cannot be counted; the message says what to do."""


def find_verdicts(folder: pathlib.Path, scores: scores_file.Scores) -> dict[str, Verdict]:
    """The last verdict on each scored image; a verdict belongs to an image by the SHA-256 of the file.

    Args:
        folder: that `python -m pipelines.review` wrote.
        scores: what was scored.

    Returns:
        SHA-256 of a scored file -> the verdict; images of other scores are left out.

    Raises:
        ReviewsError: no review is of these images, or a class is none of the scores'.
        JournalError: the folder holds no reviews.
        OSError: they cannot be read.
    """
    if scores_file.IMAGE_DIGEST not in scores.table:
        raise ReviewsError(
            f"scores must have the column {scores_file.IMAGE_DIGEST} where reviews are counted. Received: "
            f"{scores.path}, of an earlier version. Score the images again, into a new --output."
        )
    reviews = read_reviews(folder)
    scored = set(scores.table[scores_file.IMAGE_DIGEST])
    found = {digest: review for digest, review in reviews.items() if digest in scored}
    if not found:
        raise ReviewsError(
            f"reviews must be of the images that were scored. Received: {str(folder)!r} with reviews of "
            f"{len(reviews)} images, none of which is of these images. Name the right folder, or leave --reviews out."
        )
    for review in found.values():
        if review.class_after_review and review.class_after_review not in scores.class_names:
            raise ReviewsError(
                f"reviews must name classes of the scores: {', '.join(scores.class_names)}. Received: "
                f"{review.class_after_review!r} for {review.file!r} in {str(folder)!r}, a review of another model. "
                "Name the folder of the right one."
            )
    return {digest: Verdict(review.class_after_review, review.initials) for digest, review in found.items()}
