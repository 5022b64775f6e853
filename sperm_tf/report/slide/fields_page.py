"""The pages of fields in the PDF: their pictures, the measures of the heads, and the table of fields."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.report.slide.fields import FieldPicture
from sperm_tf.report.slide.head_measures import Distribution
from sperm_tf.report.slide.layout import FOOT, GAP, INK, INNER, MARGIN, MUTED, Document, write_table

NUM_PICTURES = 6
_COLUMNS, _CAPTION, _MAX_ROWS = 2, 8.0, 24
_PLOT = 27.0  # height of a distribution, without its words
_BAR, _BAND, _LIGHT = (122, 158, 194), (245, 224, 170), (200, 200, 195)
TABLE = {
    "file": "Field",
    "num_heads": "Heads",
    "num_counted": "Counted",
    "num_cut": "Cut",
    "num_touching": "Touching",
    "num_out_of_focus": "Out of focus",
    "num_referred": "Referred",
    "coverage": "Coverage",
    "focus": "Focus",
}
"""Fact about a field -> its column."""


def write(pdf: Document, slide: Mapping[str, Any]) -> None:
    """Writes the pages of a slide whose cells were found in fields.

    Args:
        pdf: the document.
        slide: its facts; `fields` are those of `sperm_tf.report.slide.fields.describe_fields`.
    """
    fields = slide["fields"]
    pdf.add_page()
    pdf.line_of_text(f"Fields · {slide['title']}", 13, bold=True)
    pdf.line_of_text(fields["totals"], 9)
    pdf.line_of_text(fields["words"], 7.5, colour=MUTED)
    pdf.ln(2)
    _write_pictures(pdf, fields["pictures"][:NUM_PICTURES])
    pdf.add_page()
    pdf.line_of_text(f"Heads and fields · {slide['title']}", 13, bold=True)
    for line in filter(None, (fields["measured"], fields["scale"])):
        pdf.line_of_text(line, 7.5, colour=MUTED)
    pdf.ln(2)
    _write_measures(pdf, fields["measures"])
    pdf.write_whole(lambda pdf: _write_fields(pdf, fields["rows"]))


def _write_pictures(pdf: Document, pictures: Sequence[FieldPicture]) -> None:
    width, top = (INNER - GAP / 2) / _COLUMNS, pdf.get_y()
    height = (FOOT - top) / (NUM_PICTURES // _COLUMNS)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, _COLUMNS)
        left, y = MARGIN + column * (width + GAP / 2), top + row * height
        pdf.image(io.BytesIO(picture.image), left, y, width, height - _CAPTION, keep_aspect_ratio=True)
        shown = min(height - _CAPTION, width * picture.size[1] / picture.size[0])
        pdf.set_xy(left, y + (height - _CAPTION + shown) / 2 + 0.5)
        pdf.style(7, bold=True)
        pdf.cell(width, 3.2, pdf.shorten(picture.title, width - 2), new_x="LEFT", new_y="NEXT")
        pdf.style(6.5, colour=MUTED)
        pdf.cell(width, 3, pdf.shorten(picture.words, width - 2))
    pdf.set_xy(MARGIN, FOOT)


def _write_measures(pdf: Document, measures: Sequence[Distribution]) -> None:
    width, top = (INNER - GAP) / _COLUMNS, pdf.get_y()
    for index, measure in enumerate(measures):
        row, column = divmod(index, _COLUMNS)
        _draw_distribution(pdf, measure, MARGIN + column * (width + GAP), top + row * (_PLOT + 9), width)
    rows = -(-len(measures) // _COLUMNS)
    pdf.set_xy(MARGIN, top + rows * (_PLOT + 9) + 1)


def _draw_distribution(pdf: Document, measure: Distribution, left: float, top: float, width: float) -> None:
    pdf.set_xy(left, top)
    pdf.style(8, bold=True)
    pdf.cell(width, 4, measure.title, new_x="LEFT", new_y="NEXT")
    pdf.style(6.5, colour=MUTED)
    manual = f" · {measure.manual_text}" if measure.manual_text else ""
    pdf.cell(width, 3, f"median {measure.median_text}, 5–95 % {measure.centiles_text}{manual}")
    floor, height = top + _PLOT + 3, _PLOT - 6
    if measure.band is not None:
        pdf.set_fill_color(*_BAND)
        low, high = measure.band
        pdf.rect(left + low * width, floor - height, (high - low) * width, height, "F")
    pdf.set_fill_color(*_BAR)
    for start, end, share in measure.bars:
        if share:
            pdf.rect(left + start * width, floor - share * height, (end - start) * width - 0.2, share * height, "F")
    pdf.set_draw_color(*INK)
    pdf.set_line_width(0.3)
    pdf.line(left + measure.median * width, floor - height, left + measure.median * width, floor)
    pdf.set_draw_color(*_LIGHT)
    pdf.set_line_width(0.2)
    pdf.line(left, floor, left + width, floor)
    pdf.style(6, colour=MUTED)
    for place, label in measure.ticks:
        pdf.set_xy(left + place * width - 6, floor + 0.4)
        pdf.cell(12, 2.6, label, align="C")


def _write_fields(pdf: Document, rows: Sequence[Mapping[str, str]]) -> None:
    widths = (3.4, *[1.0] * (len(TABLE) - 1))
    pdf.style(7.5)
    room = INNER * widths[0] / sum(widths) - 2
    cells = []
    for row in rows[:_MAX_ROWS]:
        name = f"{row['file']} ({row['status']})" if row["status"] else row["file"]
        cells.append([pdf.shorten(name, room), *(row[key] for key in list(TABLE)[1:])])
    if len(rows) > _MAX_ROWS:
        cells.append([f"{len(rows) - _MAX_ROWS} more, see fields.csv", *[""] * (len(TABLE) - 1)])
    write_table(pdf, "Fields", list(TABLE.values()), cells, widths, width=INNER)
