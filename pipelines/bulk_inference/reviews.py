"""The verdicts of a review, matched to the images of scores, and to the fields that their cells were found in."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sperm_tf.evaluation.fields.matching import match_boxes
from sperm_tf.evaluation.quantification import cells_file, scores_file
from sperm_tf.evaluation.quantification.cells_file import FoundCells
from sperm_tf.evaluation.quantification.reviewed import REVIEWED, Verdict
from sperm_tf.review import records
from sperm_tf.review.last_verdicts import LastVerdict, read_reviews
from sperm_tf.served_names import ACCEPT, OK

if TYPE_CHECKING:
    import pandas as pd


class ReviewsError(ValueError):
    """Reviews that cannot be counted; the message says what to do."""


@dataclasses.dataclass(frozen=True, eq=False)
class FoundReviews:
    """What people said of the images of scores.

    Attributes:
        verdicts: SHA-256 of a scored file -> the last verdict.
        removed: SHA-256 of scored cells that are none: false detections.
        added: rows like those of the scores, one for each cell that a person drew in a field, with its class; None
            where the images come from no fields.
    """

    verdicts: dict[str, Verdict]
    removed: frozenset[str]
    added: pd.DataFrame | None


def find_verdicts(folder: pathlib.Path, scores: scores_file.Scores, cells: FoundCells | None = None) -> FoundReviews:
    """The last verdict on each scored image; a verdict belongs to an image by the SHA-256 of the file.

    Args:
        folder: that `python -m pipelines.review` wrote.
        scores: what was scored.
        cells: the cells of fields that the scores are of; None where the images come from no fields.

    Returns:
        What was found; reviews of other images are left out.

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
    drawn = [review for review in reviews.values() if cells is not None and _is_drawn_in(review, cells)]
    if not found and not drawn:
        raise ReviewsError(
            f"reviews must be of the images that were scored. Received: {str(folder)!r} with reviews of "
            f"{len(reviews)} images, none of which is of these images. Name the right folder, or leave --reviews out."
        )
    for review in (*found.values(), *drawn):
        if review.class_after_review and review.class_after_review not in scores.class_names:
            raise ReviewsError(
                f"reviews must name classes of the scores: {', '.join(scores.class_names)}. Received: "
                f"{review.class_after_review!r} for {review.file!r} in {str(folder)!r}, a review of another model. "
                "Name the folder of the right one."
            )
    removed = frozenset(digest for digest, review in found.items() if review.verdict == records.NO_CELL)
    return FoundReviews(
        {
            digest: Verdict(review.class_after_review, review.initials)
            for digest, review in found.items()
            if digest not in removed
        },
        removed,
        None if cells is None else _list_added(drawn, cells, scores, removed),
    )


def _is_drawn_in(review: LastVerdict, cells: FoundCells) -> bool:
    """Whether a verdict is on a cell that a person drew in one of these fields, and that nobody took out since."""
    fields = cells.fields
    digests = fields[scores_file.IMAGE_DIGEST][fields[scores_file.FILE] == review.field]
    return review.is_added and bool(review.class_after_review) and review.field_sha256 in set(digests)


def _list_added(
    drawn: Sequence[LastVerdict], cells: FoundCells, scores: scores_file.Scores, removed: frozenset[str]
) -> pd.DataFrame:
    """Rows for cells that were drawn; one that this run found itself is not counted twice."""
    import pandas as pd

    further = [name for name in scores.record["columns"] if name in cells.fields]
    fields = cells.fields.set_index(scores_file.FILE)
    whole = cells.cells[(cells.cells[scores_file.FILE] != "") & ~cells.cells[scores_file.IMAGE_DIGEST].isin(removed)]
    rows = []
    for review in drawn:
        own = whole[whole[cells_file.FIELD] == review.field][list(cells_file.BOX)].to_numpy(np.float64)
        if match_boxes(np.array([review.box], np.float64), own):
            continue
        rows.append(
            {
                scores_file.FILE: review.file,
                **{name: fields.loc[review.field, name] for name in further},
                cells_file.FIELD: review.field,
                **dict(zip(cells_file.BOX, review.box, strict=True)),
                scores_file.STATUS: OK,
                scores_file.PREDICTED: review.class_after_review,
                scores_file.DECISION: ACCEPT,
                scores_file.REASON: REVIEWED,
                scores_file.IMAGE_DIGEST: review.sha256,
            }
        )
    columns = [scores_file.FILE, *further, cells_file.FIELD, *cells_file.BOX, scores_file.STATUS, scores_file.PREDICTED]
    columns += [scores_file.DECISION, scores_file.REASON, scores_file.IMAGE_DIGEST]
    return pd.DataFrame(rows, columns=columns)
