"""One line of `reviews.csv`: what was seen, what the model said, and what a person decided.

A record is one physical line without line breaks inside, so that a line that a kill cut short harms no other.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence

AGREE, CORRECT, CANNOT_TELL, NO_CELL, ADD = VERDICTS = ("agree", "correct", "cannot_tell", "no_cell", "add")
"""The last two are of cells of fields: nothing is there that a finder took for a head; a head that it missed."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BYTE_ORDER_MARK = "\ufeff"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Review:
    """One verdict of one person on one image; every field is text, as it stands in the file.

    Attributes:
        time_utc: when it was given, ISO 8601, UTC, such as `2026-01-31T09:30:00.125Z`.
        file: name of the file as it was dropped in.
        pixel_sha256: `sperm_tf.data.identity.pixel_sha256` of the decoded image.
        image: the copy of the file, relative to the folder of the journal.
        predicted_class: the model's most probable class.
        probabilities: JSON object, class name -> probability, 0-1.
        prediction_set: JSON list of the classes that the model thought possible.
        decision: of the model: `accept` or `refer`.
        reason: of that decision, one of `sperm_tf.served_names.REASONS`.
        verdict: of the person: one of `VERDICTS`.
        label: the class that the person chose; empty for `cannot_tell` and `no_cell`.
        reviewer: initials; empty only in lines of earlier versions, which did not ask for them.
        comment: may be empty.
        group: patient or slide code; may be empty.
        model: name of the model.
        field: address of the field that the cell is in; empty for a crop that comes from no field, like the next two.
        field_sha256: SHA-256 of the field's file.
        box: of the head, in pixels of the field: `x0 y0 x1 y1`, the latter two behind its last column and row.
        sha256: SHA-256 of the file's bytes, by which `pipelines.score` knows an image; empty in lines of earlier
            versions.
        model_digest: SHA-256 of what determines its answers. Last, since its known length shows that a line is whole.
    """

    time_utc: str
    file: str
    pixel_sha256: str
    image: str
    predicted_class: str
    probabilities: str
    prediction_set: str
    decision: str
    reason: str
    verdict: str
    label: str
    reviewer: str
    comment: str
    group: str
    model: str
    field: str = ""
    field_sha256: str = ""
    box: str = ""
    sha256: str
    model_digest: str


COLUMNS = tuple(field.name for field in dataclasses.fields(Review))
_PLACE = ("field", "field_sha256", "box")
_ADDED_COLUMNS = (_PLACE, (*_PLACE, "sha256"))  # that journals of earlier versions lack, the last version first
EARLIER_COLUMNS = tuple(tuple(name for name in COLUMNS if name not in added) for added in _ADDED_COLUMNS)
"""Of journals that no version has written to since cells have a place in their field, or files a SHA-256."""


def one_line(text: str) -> str:
    """Text without line breaks, control characters and what UTF-8 cannot hold, white space collapsed."""
    return " ".join("".join(" " if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in text).split())


def write_line(cells: Iterable[str]) -> str:
    """The cells as one line of CSV, with its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([one_line(cell) for cell in cells])
    return line.getvalue()


def read_header(line: str) -> tuple[str, ...]:
    """The columns that a journal's first line names; empty where they are no journal's."""
    names = tuple(_split(line.removeprefix(_BYTE_ORDER_MARK)))
    return names if names in (COLUMNS, *EARLIER_COLUMNS) else ()


def parse_review(line: str, columns: Sequence[str] = COLUMNS) -> Review | None:
    """The record of a line; None where the line is damaged or cut short.

    Args:
        line: without its end.
        columns: of the journal, see `read_header`.
    """
    cells = _split(line)
    if len(cells) != len(columns):
        return None
    review = Review(**{"sha256": "", **dict(zip(columns, cells, strict=True))})  # other added columns are empty, too
    is_whole = _DIGEST.fullmatch(review.model_digest) and _DIGEST.fullmatch(review.pixel_sha256)
    return review if is_whole and review.verdict in VERDICTS else None


def write_box(box: Sequence[int]) -> str:
    """A box as the journal has it."""
    return " ".join(map(str, box))


def read_box(text: str) -> tuple[int, ...]:
    """The box of a line, x0, y0, x1, y1; empty where it has none, or somebody damaged it."""
    cells = text.split()
    return tuple(map(int, cells)) if len(cells) == 4 and all(cell.isdecimal() for cell in cells) else ()


def class_names(review: Review) -> set[str]:
    """The classes of the model that was reviewed; empty where somebody damaged the entry."""
    try:
        return set(json.loads(review.probabilities))
    except (ValueError, TypeError):
        return set()


def latest(reviews: Iterable[Review]) -> dict[str, Review]:
    """Pixel SHA-256 -> the last review of that image, in the order of the first ones.

    A group that was once given stays: without it the folds could tear a patient's images apart.
    """
    found: dict[str, Review] = {}
    for review in reviews:
        before = found.get(review.pixel_sha256)
        group = review.group or (before.group if before else "")
        found[review.pixel_sha256] = dataclasses.replace(review, group=group)
    return found


def label_table(reviews: Iterable[Review]) -> str:
    """The training table of a journal, in the form that `tfds_builders.own_images` reads.

    The last verdict on an image wins; an image of which nobody can tell the class is left out, like what is no cell.
    The column `group` stands there once a group is known; then an image without is a group of its own.
    """
    rows = [review for review in latest(reviews).values() if review.label]
    has_groups = any(review.group for review in rows)
    lines = [write_line(("file", "label", *["group"] * has_groups))]
    for review in rows:
        group = review.group or f"image-{review.pixel_sha256[:16]}"
        lines.append(write_line((review.image, review.label, *[group] * has_groups)))
    return "".join(lines)


def _split(line: str) -> Sequence[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []
