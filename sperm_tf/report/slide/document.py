"""The report of slides as a PDF: two A4 pages a slide, the figures and the contact sheet."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.report.slide import facts
from sperm_tf.report.slide.contact_sheet import Cell
from sperm_tf.report.slide.layout import GAP, HEIGHT, INK, INNER, MARGIN, MUTED, Document, side_by_side, write_table

NUM_CELLS = 28
_COLUMNS, _PADDING = 4, 2.0
_SIGNATURE = HEIGHT - 24
_BLUE, _BAND = (31, 95, 153), (245, 224, 170)
_VERDICTS = {"good": (227, 241, 232), "bad": (250, 231, 225), "none": (241, 241, 238)}
_MAX_UNREADABLE, _MAX_REPLICATES, _MAX_CLASSES = 4, 8, 40


def write(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes the PDF.

    Args:
        path: file to write.
        content: what the page shows, see `sperm_tf.report.slide.page.write_report`.
    """
    pdf = Document(content)
    for slide in content["slides"]:
        _write_figures(pdf, slide, content)
        _write_sheet(pdf, slide)
    pdf.output(str(path))


def _write_figures(pdf: Document, slide: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    pdf.add_page()
    pdf.line_of_text(f"Sperm morphology · slide report · {content['date']}", 8, colour=MUTED)
    pdf.line_of_text(f"Slide {slide['name']}" if slide["name"] else "Slide report", 17, bold=True)
    pdf.ln(2)
    _write_share(pdf, slide)
    _write_verdict(pdf, slide["verdict"])
    pdf.line_of_text(" ".join(slide["notes"]), 6.5, colour=MUTED)
    pdf.ln(1)
    half = (INNER - GAP) / 2
    names = [_shorten(name, 14) for name in slide["columns"]]
    widths = (3, *[1] * (len(names) + 1), 1.7)
    pdf.style(7.5)
    room = half * widths[0] / sum(widths) - _PADDING  # a line for each
    classes = [
        [pdf.shorten(_with_role(row), room), *map(str, row["counts"]), str(row["total"]), row["share"]]
        for row in slide["classes"][:_MAX_CLASSES]
    ]
    if len(slide["classes"]) > _MAX_CLASSES:
        more = f"{len(slide['classes']) - _MAX_CLASSES} more"
        classes.append([more, *[""] * (len(names) + 2)])
    reasons = [[row["text"], str(row["count"]), row["percent"]] for row in slide["reasons"]]
    total = ["All referred", str(slide["num_referred"]), slide["referred_percent"]]
    counts = ["Class", *names, "All", "Share"], classes, widths
    referred = ["Why", "Images", "Share"], [*reasons, total], (4.4, 1, 1.2)
    quality = [[row["name"], row["median"], row["range"]] for row in slide["quality"]]
    measured = ["Figure", "Median", "5th–95th centile"], quality, (3, 1, 1.7)
    side_by_side(
        pdf,
        lambda pdf: write_table(pdf, "Counts", *counts, width=half),
        lambda pdf: write_table(pdf, "Referred to a person", *referred, width=half),
    )
    pdf.write_whole(lambda pdf: _write_replicates(pdf, slide["rows"]))
    side_by_side(
        pdf,
        lambda pdf: write_table(pdf, "Image quality", *measured, width=half),
        lambda pdf: _write_unreadable(pdf, slide, half),
    )
    pdf.write_whole(lambda pdf: _write_model(pdf, content["model"]))
    if pdf.get_y() > _SIGNATURE:
        pdf.add_page()
    _write_signature(pdf)


def _write_replicates(pdf: Document, replicates: Sequence[Mapping[str, Any]]) -> None:
    columns = {
        "name": "Replicate",
        "num_sperm": "Sperm.",
        "num_normal": "Normal",
        "percent": "Counted",
        "interval": "Interval",
        "corrected": "Corrected",
        "bounds": "After review",
        "num_referred": "Referred",
        "num_unreadable": "No answer",
    }
    rows = [
        [_shorten(str(row[key]), 18) for key in columns]  # of the figures none is as long
        for row in replicates[:_MAX_REPLICATES]
    ]
    if len(replicates) > _MAX_REPLICATES:
        rows.append([f"{len(replicates) - _MAX_REPLICATES} more", *[""] * (len(columns) - 1)])
    write_table(pdf, "Replicates", list(columns.values()), rows, (1.5, 1, 1, 1.2, 1.6, 1.3, 1.6, 1.2, 1.3), width=INNER)


def _write_share(pdf: Document, slide: Mapping[str, Any]) -> None:
    """The percentage, and beside it the axis with interval and range."""
    top = pdf.get_y()
    pdf.style(9, bold=True)
    pdf.cell(75, 5, "Normal forms among spermatozoa", new_x="LMARGIN", new_y="NEXT")
    pdf.style(24, bold=True)
    pdf.cell(75, 12, slide["percent"], new_x="LMARGIN", new_y="NEXT")
    pdf.style(8)
    how = "corrected for the model's known errors" if slide["is_corrected"] else "as the model answered, not corrected"
    lines = (
        f"{how}; 95 % interval {slide['interval'] or '–'}",
        f"counted {slide['counted']}",
        f"count after review of referred images {slide['bounds'] or '–'}",
        slide["accepted_normal"],
        slide["copies"],
    )
    for line in filter(None, lines):
        pdf.cell(75, 4.2, line, new_x="LMARGIN", new_y="NEXT")
    if slide["is_defined"]:
        _draw_axis(pdf, slide, left=MARGIN + 106, top=top + 8, width=INNER - 110)
    pdf.set_y(top + 37)


def _draw_axis(pdf: Document, slide: Mapping[str, Any], *, left: float, top: float, width: float) -> None:
    low, high = slide["interval_bounds"]
    least, most = slide["bounds_bounds"]
    pdf.set_fill_color(*_BAND)
    pdf.rect(left + width * least, top, max(width * (most - least), 0.4), 7, "F")
    pdf.set_fill_color(*_BLUE)
    pdf.rect(left + width * low, top + 2.6, max(width * (high - low), 0.4), 1.8, "F")
    pdf.circle(left + width * slide["share"], top + 3.5, 1.8, "F")
    if slide["is_corrected"]:
        pdf.set_draw_color(*_BLUE)
        pdf.set_line_width(0.5)
        pdf.circle(left + width * slide["counted_share"], top + 3.5, 1.6, "D")
    pdf.set_draw_color(*MUTED)
    pdf.set_line_width(0.2)
    pdf.line(left, top + 9, left + width, top + 9)
    pdf.style(7, colour=MUTED)
    for tick in range(0, 101, 25):
        place = left + width * tick / 100
        pdf.line(place, top + 9, place, top + 10)
        pdf.set_xy(place - 8, top + 10.5)
        pdf.cell(16, 3, f"{tick} %", align="C")
    pdf.set_xy(left, top + 15)
    counted = " Ring: counted." if slide["is_corrected"] else ""
    words = f"Point and bar: the percentage with its 95 % interval.{counted} Band: count after review."
    pdf.multi_cell(width, 3, words, align="L")


def _write_verdict(pdf: Document, verdict: Mapping[str, str]) -> None:
    pdf.set_fill_color(*_VERDICTS[verdict["kind"]])
    pdf.style(8.5, bold=True)
    pdf.multi_cell(0, 5.5, f"{verdict['title']}.", fill=True, align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.style(8)
    pdf.multi_cell(0, 5, verdict["text"], fill=True, align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(1.5)


def _write_unreadable(pdf: Document, slide: Mapping[str, Any], width: float) -> None:
    files = slide["unreadable"]
    rows = [[f"{_shorten(row['file'], 26)}: {row['text']}"] for row in files[:_MAX_UNREADABLE]]
    if len(files) > _MAX_UNREADABLE:
        rows.append([f"and {len(files) - _MAX_UNREADABLE} more, listed in scores.csv"])
    title = f"Files without an answer: {len(files)} of {slide['num_files']}"
    write_table(pdf, title, ["File"], rows or [["none"]], (1,), width=width)


def _write_model(pdf: Document, model: Mapping[str, Any]) -> None:
    lines = (
        f"{model['name']}, SHA-256 {model['digest'][:16]}…; scored on {model['scored']}, sperm_tf {model['version']}.",
        f"Classes: {model['classes']}. Normal forms: {model['normal']}. No spermatozoon: {model['not_sperm']}.",
        f"Test accuracy: {model['accuracy']}.",
        f"Accepted answers: {model['promise'][0].lower()}{model['promise'][1:]}",
    )
    pdf.set_x(MARGIN)
    pdf.style(9, bold=True)
    pdf.cell(0, 6, "Model", new_x="LMARGIN", new_y="NEXT")
    for line in lines:
        pdf.line_of_text(line, 7.5)


def _write_signature(pdf: Document) -> None:
    pdf.set_draw_color(*INK)
    pdf.style(7, colour=MUTED)
    left = MARGIN
    for title, width in (("Name", 70), ("Signature", 70), ("Date", 30)):
        pdf.line(left, _SIGNATURE, left + width, _SIGNATURE)
        pdf.set_xy(left, _SIGNATURE + 0.5)
        pdf.cell(width, 4, title)
        left += width + (INNER - 170) / 2


def _write_sheet(pdf: Document, slide: Mapping[str, Any]) -> None:
    pdf.add_page()
    title = f"Contact sheet · slide {slide['name']}" if slide["name"] else "Contact sheet"
    pdf.line_of_text(title, 13, bold=True)
    cells = slide["sheet"].cells[:NUM_CELLS]
    pdf.line_of_text(facts.describe_sheet(slide["sheet"], limit=NUM_CELLS), 7.5, colour=MUTED)
    top = pdf.get_y() + 3
    width, height = INNER / _COLUMNS, (HEIGHT - 20 - top) / (NUM_CELLS // _COLUMNS)
    for index, cell in enumerate(cells):
        row, column = divmod(index, _COLUMNS)
        _draw_cell(pdf, cell, MARGIN + column * width, top + row * height, width - 3, height - 2)


def _draw_cell(pdf: Document, cell: Cell, left: float, top: float, width: float, height: float) -> None:
    side = min(width / 2 - 0.5, height - 11)
    for offset, picture in ((0.0, cell.image), (side + 1, cell.overlay)):
        if picture is not None:
            pdf.image(io.BytesIO(picture), left + offset, top, side, side, keep_aspect_ratio=True)
    pdf.set_xy(left, top + side + 0.8)
    pdf.style(7, bold=True)
    percent = f" {cell.percent}"
    predicted = pdf.shorten(cell.predicted, width - pdf.get_string_width(percent) - _PADDING)
    pdf.cell(width, 3.2, predicted + percent, new_x="LEFT", new_y="NEXT")
    pdf.style(6.5, colour=MUTED)
    pdf.cell(width, 3, cell.reason, new_x="LEFT", new_y="NEXT")
    name = f"{cell.replicate} · {cell.file}" if cell.replicate else cell.file
    pdf.cell(width, 3, pdf.shorten(name, width - _PADDING))


def _with_role(row: Mapping[str, Any]) -> str:
    return f"{row['name']} ({row['role']})" if row["role"] == "no sperm" else str(row["name"])


def _shorten(name: str, length: int) -> str:
    """The end of a long name, which tells files apart."""
    return name if len(name) <= length else f"…{name[1 - length :]}"
