"""The verdicts of a review, matched to the images of scores."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable

from sperm_tf.data.decode import UndecodableImageError, decode_rgb
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.evaluation.quantification.reviewed import Verdict
from sperm_tf.review import records
from sperm_tf.review.journal import REVIEWS_FILE, Journal

Read = Callable[[str], "bytes | None"]


class ReviewsError(ValueError):
    """Reviews that cannot be counted; the message says what to do."""


def find_verdicts(folder: pathlib.Path, scores: scores_file.Scores, read: Read) -> dict[str, Verdict]:
    """The last verdict on each scored image.

    A verdict belongs to an image by the SHA-256 of the file that the review page kept, or, where that was another file
    with the same pixels, by the SHA-256 of the pixels.

    Args:
        folder: that `python -m pipelines.review` wrote.
        scores: what was scored.
        read: address of an image -> its bytes; None where they cannot be read, or have changed.

    Returns:
        SHA-256 of a scored file -> the verdict; images of other scores are left out.

    Raises:
        ReviewsError: there are no reviews, or a class is none of the scores'.
        OSError: they cannot be read.
    """
    if not (folder / REVIEWS_FILE).is_file():
        raise ReviewsError(
            f"reviews must be the folder that python -m pipelines.review wrote. Received: {str(folder)!r}, which has "
            f"no {REVIEWS_FILE}. Review the images first, or leave --reviews out."
        )
    if scores_file.IMAGE_DIGEST not in scores.table:
        raise ReviewsError(
            f"scores must have the column {scores_file.IMAGE_DIGEST} where reviews are counted. Received: "
            f"{scores.path}, of an earlier version. Score the images again, into a new --output."
        )
    reviews = records.latest(Journal(folder).read().reviews)
    scored = set(scores.table[scores_file.IMAGE_DIGEST]) - {""}
    kept = {_digest(folder / review.image): review for review in reviews.values() if review.image}
    matched = {digest: review for digest, review in kept.items() if digest in scored}
    table = scores.table[scores.table[scores_file.STATUS] == "ok"]
    rows = table[~table[scores_file.IMAGE_DIGEST].isin(list(matched))]
    if len(matched) == len(reviews):  # decoding takes time: only what is still open can be a copy of these
        rows = rows[rows[scores_file.DECISION] == "refer"]
    for file, digest in zip(rows[scores_file.FILE], rows[scores_file.IMAGE_DIGEST], strict=True):
        if review := reviews.get(_pixel_digest(read(file) or b"")):
            matched[digest] = review
    if not matched:
        raise ReviewsError(
            f"reviews must be of the images that were scored. Received: {str(folder)!r} with reviews of "
            f"{len(reviews)} images, none of which is of these images. Name the right folder, or leave --reviews out."
        )
    return {digest: _to_verdict(review, scores, folder) for digest, review in matched.items()}


def _digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _pixel_digest(content: bytes) -> str:
    from sperm_tf.data.identity import pixel_sha256

    try:
        return pixel_sha256(decode_rgb(content).pixels)
    except UndecodableImageError:
        return ""


def _to_verdict(review: records.Review, scores: scores_file.Scores, folder: pathlib.Path) -> Verdict:
    label = "" if review.verdict == records.CANNOT_TELL else review.label
    if label and label not in scores.class_names:
        raise ReviewsError(
            f"reviews must name classes of the scores: {', '.join(scores.class_names)}. Received: {label!r} for "
            f"{review.file!r} in {folder / REVIEWS_FILE}, a review of another model. Name the folder of the right one."
        )
    return Verdict(label, review.reviewer)
