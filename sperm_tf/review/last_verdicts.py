"""The last verdict on each image of a journal, for reports: `read_reviews(folder)`."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib

from sperm_tf.review import journal, records
from sperm_tf.review.records import Review


@dataclasses.dataclass(frozen=True)
class LastVerdict:
    """What a person decided on one image, the last time that somebody looked at it.

    Attributes:
        sha256: SHA-256 hex digest of the file's bytes, as in the column `sha256` of `scores.parquet`.
        pixel_sha256: `sperm_tf.data.identity.pixel_sha256` of the decoded image.
        file: as the page was given it: an address of the scores (`slide_1.tar!cell_17.png`), or a file's name.
        predicted_class: the model's most probable class when the person decided.
        verdict: `agree`, `correct`, `cannot_tell`, or of a cell of a field `no_cell` or `add`.
        class_after_review: the person's class; empty for `cannot_tell` and `no_cell`.
        initials: of the person; empty in journals of versions that did not ask for them.
        time_utc: ISO 8601, UTC, such as `2026-01-31T09:30:00.125Z`.
        model_digest: of the model whose prediction was reviewed: for reviews of scores, their `model_digest`.
        image: the copy of the file, relative to the folder of the journal.
        field: address of the field that the cell is in; empty for a crop that comes from no field, like the next two.
        field_sha256: of the field's file.
        box: of the head in pixels of the field: x0, y0, x1, y1.
        is_added: whether a person drew the cell, which no finder had found.
    """

    sha256: str
    pixel_sha256: str
    file: str
    predicted_class: str
    verdict: str
    class_after_review: str
    initials: str
    time_utc: str
    model_digest: str
    image: str = ""
    field: str = ""
    field_sha256: str = ""
    box: tuple[int, ...] = ()
    is_added: bool = False


def read_reviews(folder: str | os.PathLike[str]) -> dict[str, LastVerdict]:
    """Reads the last verdict on each file of a journal; writes nothing there.

    A verdict is one on the image: where several reviewed files have the same pixels, the last verdict on any of them is
    that of all.

    Args:
        folder: that the review page wrote its verdicts to, with `reviews.csv` in it.

    Returns:
        SHA-256 of the file -> its last verdict, in the order of the first verdicts. A damaged line of the journal is no
        verdict.

    Raises:
        JournalError: the folder holds no `reviews.csv`, or one with other columns.
        OSError: it cannot be read.
    """
    folder = pathlib.Path(folder).expanduser()
    path = folder / journal.REVIEWS_FILE
    if not path.is_file():
        raise journal.JournalError(
            f"reviews must be a folder that python -m pipelines.review wrote. Received: {folder}, without "
            f"{journal.REVIEWS_FILE}. Review the scores first, or name another folder"
        )
    reviews = journal.parse(path.read_bytes(), path).reviews
    last = records.latest(reviews)
    files: dict[str, Review] = {}
    added = {review.pixel_sha256 for review in reviews if review.verdict == records.ADD}
    for review in reviews:
        digest = review.sha256 or _digest_stored(folder, review)
        if digest:
            files[digest] = review
    return {
        digest: _to_verdict(digest, review, last[review.pixel_sha256], review.pixel_sha256 in added)
        for digest, review in files.items()
    }


def _digest_stored(folder: pathlib.Path, review: Review) -> str:
    """Of the copy that the journal keeps: journals of earlier versions do not say it; empty where it is gone."""
    try:
        return hashlib.sha256((folder / review.image).read_bytes()).hexdigest()
    except OSError:
        return ""


def _to_verdict(digest: str, review: Review, last: Review, is_added: bool) -> LastVerdict:
    return LastVerdict(
        sha256=digest,
        pixel_sha256=review.pixel_sha256,
        file=review.file,
        predicted_class=last.predicted_class,
        verdict=last.verdict,
        class_after_review=last.label,
        initials=last.reviewer,
        time_utc=last.time_utc,
        model_digest=last.model_digest,
        image=last.image,
        field=last.field,
        field_sha256=last.field_sha256,
        box=records.read_box(last.box),
        is_added=is_added,
    )
