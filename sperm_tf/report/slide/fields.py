"""The fields of a slide: their pictures with the cells marked, a table of them, and the measures of the heads."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sperm_tf.evaluation.quantification import cells_file, reviewed, scores_file
from sperm_tf.evaluation.quantification.cells_file import FoundCells
from sperm_tf.evaluation.quantification.class_roles import ClassRoles
from sperm_tf.evaluation.quantification.reviewed import Verdict
from sperm_tf.fields.finders import CLASSICAL
from sperm_tf.fields.focus import describe_edge_limit, find_edge_limit
from sperm_tf.fields.found import OUT_OF_FOCUS
from sperm_tf.report import text
from sperm_tf.report.slide.facts import describe_intensities
from sperm_tf.report.slide.head_measures import describe_measures, describe_scale
from sperm_tf.served_names import OK, REFER

if TYPE_CHECKING:
    from PIL import Image

MAX_PICTURES = 12
"""Pictures of fields on the page of a slide."""
_SIDE, _JPEG_QUALITY = 1000, 82
_REMOVED, _ADDED = (163, 39, 15), (29, 107, 67)
_CLASSICAL_ERRORS = (
    "Length, width and their ratio differ by some 4 % from those of outlines that people drew on annotated fields, as "
    "two people do (docs/fields.md)."
)
_NO_HEADS = "no_heads"  # status of a field that was read


@dataclasses.dataclass(frozen=True, eq=False)
class Corrections:
    """What people corrected in the fields.

    Attributes:
        removed: rows of the table of cells: false detections.
        added: rows with field, box and class of cells that were missed; None where nobody added one.
    """

    removed: Any
    added: Any

    def of_field(self, file: str) -> tuple[Any, Any]:
        """The removed and the added cells of a field."""
        removed = self.removed[self.removed[cells_file.FIELD] == file]
        added = self.removed.head(0) if self.added is None else self.added[self.added[cells_file.FIELD] == file]
        return removed, added


@dataclasses.dataclass(frozen=True)
class FieldPicture:
    """The picture of a field.

    Attributes:
        title: its address.
        words: how many cells it has.
        image: JPEG.
        size: width and height in pixels.
    """

    title: str
    words: str
    image: bytes
    size: tuple[int, int]

    @property
    def image_uri(self) -> str:
        """The picture for a page."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.image).decode('ascii')}"


def describe_fields(
    found: FoundCells,
    roles: ClassRoles,
    *,
    slide_column: str = "",
    slide: str = "",
    verdicts: Mapping[str, Verdict] | None = None,
    removed: frozenset[str] = frozenset(),
    added: Any = None,
    max_pictures: int = MAX_PICTURES,
) -> dict[str, Any]:
    """The facts about the fields of one slide.

    Args:
        found: the cells of the run.
        roles: of the classes.
        slide_column: names the slide of each field; empty where all are of one.
        slide: its name.
        verdicts: SHA-256 of a crop -> the last verdict of a person on it; None without a review.
        removed: SHA-256 of crops that show no cell, as people found.
        added: rows of cells that people added, with field, box and class; may be None.
        max_pictures: most pictures of fields; those with the most cells are shown.
    """
    fields, cells = found.fields, found.cells
    if slide_column:
        fields, cells = (table[table[slide_column].astype(str) == slide] for table in (fields, cells))
    corrections = Corrections(cells[cells[scores_file.IMAGE_DIGEST].isin(removed)], added)
    cells = cells.drop(corrections.removed.index)
    if verdicts:
        cells = reviewed.apply(cells, verdicts)
    whole = cells[cells[scores_file.FILE] != ""]
    sperm = whole[whole[scores_file.PREDICTED].isin(roles.sperm)]
    is_blurred = sperm[cells_file.FLAGS].str.contains(OUT_OF_FOCUS)
    rows = [_describe_field(field, cells) for field in fields.to_dict("records")]
    shown = sorted(fields[cells_file.COUNT].nlargest(max_pictures).index) if max_pictures else []
    drawn = (_draw_field(found, index, cells, corrections) for index in shown)
    pictures = [picture for picture in drawn if picture is not None]
    measured = sperm[~is_blurred]
    totals = (
        _describe_totals(fields, cells),
        _describe_edge_limit(found.cells),
        _describe_corrections(fields, corrections),
    )
    return {
        "rows": rows,
        "pictures": pictures,
        "words": _describe_pictures(pictures, len(fields), is_reviewed=verdicts is not None),
        "totals": " ".join(filter(None, totals)),
        "measures": describe_measures(measured),
        "measured": _describe_measured(len(measured), int(is_blurred.sum()), len(whole) - len(sperm), found.finder),
        "scale": " ".join([describe_scale(measured), *describe_intensities(cells)]).strip(),
    }


def _describe_field(field: Mapping[Any, Any], cells: Any) -> dict[str, str]:
    """A line of the table of fields."""
    own = cells[cells[cells_file.FIELD] == field[scores_file.FILE]]
    is_read = field[scores_file.STATUS] in (OK, _NO_HEADS)
    numbers = (cells_file.COUNT, "num_counted", "num_cut", "num_touching", "num_out_of_focus")
    return {
        "file": field[scores_file.FILE],
        "status": "" if field[scores_file.STATUS] == OK else field[scores_file.STATUS].replace("_", " "),
        **{name: str(int(field[name])) if is_read else text.NOTHING for name in numbers},
        "num_referred": str(int((own[scores_file.DECISION] == REFER).sum())) if is_read else text.NOTHING,
        "focus": text.number(_to_float(field["focus"])),
        "coverage": text.percent(_to_float(field["coverage"])),
    }


def _describe_totals(fields: Any, cells: Any) -> str:
    """How many fields and heads there are, and what became of them."""
    statuses = Counter(fields[scores_file.STATUS])
    num_read = statuses.pop(OK, 0) + statuses[_NO_HEADS]
    unread = "".join(
        f"; {text.plural(count, 'field')} {status.replace('_', ' ')}"
        for status, count in statuses.items()
        if status != _NO_HEADS
    )
    whole = int((cells[scores_file.FILE] != "").sum())
    return (
        f"{text.plural(num_read, 'field')} read{unread}. {text.plural(len(cells), 'head')} found, of which "
        f"{text.count(int(cells[cells_file.COUNTED].sum()))} count by the rule of two borders; "
        f"{text.count(len(cells) - whole)} are cut by a border and have no class, "
        f"{text.count(int(cells[cells_file.FLAGS].str.contains(OUT_OF_FOCUS).sum()))} are out of focus."
    )


def _describe_edge_limit(cells: Any) -> str:
    """How focus was judged, where the limit is not the usual one; runs of earlier versions have the usual one."""
    if cells_file.EDGE_WIDTH not in cells:
        return ""
    return describe_edge_limit(find_edge_limit(cells[cells_file.EDGE_WIDTH].dropna()))


def _describe_corrections(fields: Any, corrections: Corrections) -> str:
    parts = [corrections.of_field(file) for file in fields[scores_file.FILE]]
    num_removed, num_added = (sum(len(part[place]) for part in parts) for place in (0, 1))
    if not num_removed and not num_added:
        return ""
    removed, added = text.plural(num_removed, "false detection"), text.plural(num_added, "missed head")
    return f"In review: {removed} taken out, {added} added."


def _describe_pictures(pictures: Sequence[FieldPicture], num_fields: int, *, is_reviewed: bool) -> str:
    left_out = f" The {len(pictures)} with the most heads of {num_fields}." if len(pictures) < num_fields else ""
    model = " The classes in the pictures are the model's, before review." if is_reviewed else ""
    return (
        "Each head as it was found, with its number and class. Grey, dashed and with a question mark: referred to a "
        f"person.{model}{left_out}"
        if pictures
        else "There is no picture of a field to show."
    )


def _describe_measured(num: int, num_blurred: int, num_others: int, finder: str) -> str:
    left_out = [
        f"{text.count(count)} {words}"
        for count, words in ((num_blurred, "out of focus"), (num_others, "classified as no spermatozoa"))
        if count
    ]
    ending = f" Left out: {text.listing(left_out)}." if left_out else ""
    errors = f" {_CLASSICAL_ERRORS}" if finder == CLASSICAL else ""
    return (
        f"Outlines of {text.plural(num, 'whole head')} of spermatozoa.{ending} Band: the WHO manual's reference range "
        "(5th edition, section 2.15.1), of stained spermatozoa that people called normal. These are measurements with "
        f"errors, no diagnosis.{errors}"
    )


def _draw_field(found: FoundCells, index: int, cells: Any, corrections: Corrections) -> FieldPicture | None:
    """The overlay of a field, made smaller, with what people corrected; None where it is gone."""
    from PIL import Image

    path = found.overlay_path(index)
    if not path.is_file():
        return None
    file = found.fields[scores_file.FILE][index]
    with Image.open(path) as overlay:
        picture = overlay.convert("RGB")
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    own = cells[cells[cells_file.FIELD] == file]
    removed, added = corrections.of_field(file)
    _mark(picture, picture.width / found.fields["width"][index], removed, added)
    words = _describe_heads(own) + (
        f"; {len(removed)} taken out, {len(added)} added" if len(removed) + len(added) else ""
    )
    return FieldPicture(file, words, _to_jpeg(picture), picture.size)


def _mark(picture: Image.Image, scale: float, removed: Any, added: Any) -> None:
    """Crosses out what is no cell, and boxes what was missed, with its class."""
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(picture)
    width = max(2, picture.width // 300)
    font = ImageFont.load_default(max(10, picture.width // 40))  # as large as in the overlay
    for rows, colour in ((removed, _REMOVED), (added, _ADDED)):
        for row in rows.to_dict("records"):
            x0, y0, x1, y1 = (float(row[name]) * scale for name in cells_file.BOX)
            draw.rectangle((x0, y0, x1, y1), outline=colour, width=width)
            if colour == _REMOVED:
                draw.line((x0, y0, x1, y1), fill=colour, width=width)
                draw.line((x1, y0, x0, y1), fill=colour, width=width)
            else:
                label = f"added: {row[scores_file.PREDICTED]}"
                draw.text((x0, y1 + 1), label, fill=colour, font=font, stroke_width=2, stroke_fill="white")


def _describe_heads(cells: Any) -> str:
    """How many heads of a field have which class for good, and how many a person still has to look at."""
    is_referred = cells[scores_file.DECISION] == REFER
    classes = Counter(cells[scores_file.PREDICTED][~is_referred].dropna())
    parts = [f"{count} {name}" for name, count in classes.most_common()]
    num_cut = int((cells[scores_file.FILE] == "").sum())
    for count, words in ((int(is_referred.sum()), "referred to a person"), (num_cut, "cut by a border")):
        parts += [f"{count} {words}"] * bool(count)
    return f"{text.plural(len(cells), 'head')}{': ' if parts else ''}{', '.join(parts)}"


def _to_jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _to_float(value: Any) -> float:
    return math.nan if value is None else float(value)
