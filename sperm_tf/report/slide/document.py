"""The report of slides as a PDF: A4 pages of each slide: the result, the details, the contact sheet.

Two more where its cells were found in fields: the fields, and the measures of the heads.
"""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.report.slide import facts, fields_page, result_page
from sperm_tf.report.slide.contact_sheet import Cell
from sperm_tf.report.slide.layout import GAP, HEIGHT, INNER, MARGIN, MUTED, Document, side_by_side, write_table

NUM_CELLS = 28
_COLUMNS, _PADDING = 4, 2.0
_MAX_UNREADABLE, _MAX_REPLICATES, _MAX_CLASSES = 4, 8, 40


def write(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes the PDF.

    Args:
        path: file to write.
        content: what the page shows, see `sperm_tf.report.slide.page.write_report`.
    """
    pdf = Document(content)
    for slide in content["slides"]:
        result_page.write(pdf, slide, content)
        _write_details(pdf, slide, content)
        _write_sheet(pdf, slide)
        if slide["fields"]:
            fields_page.write(pdf, slide)
    pdf.output(str(path))


def _write_details(pdf: Document, slide: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    pdf.add_page()
    pdf.line_of_text(f"Details · {slide['title']}", 13, bold=True)
    pdf.line_of_text(" ".join(slide["notes"]), 7, colour=MUTED)
    pdf.ln(2)
    half = (INNER - GAP) / 2
    pdf.write_whole(lambda pdf: _write_classes(pdf, slide))
    pdf.write_whole(lambda pdf: _write_replicates(pdf, slide["rows"]))
    reasons = [[row["text"], str(row["count"]), row["percent"]] for row in slide["reasons"]]
    total = ["All referred", str(slide["num_referred"]), slide["referred_percent"]]
    referred = ["Why", "Images", "Share"], [*reasons, total], (4.4, 1, 1.2)
    quality = [[row["name"], row["median"], row["range"]] for row in slide["quality"]]
    measured = ["Metric", "Median", "5th–95th centile"], quality, (3, 1, 1.7)
    side_by_side(
        pdf,
        lambda pdf: write_table(pdf, "Referred to an expert", *referred, width=half),
        lambda pdf: write_table(pdf, "Image quality", *measured, width=half),
    )
    pdf.write_whole(lambda pdf: _write_unreadable(pdf, slide))
    pdf.write_whole(lambda pdf: _write_model(pdf, content["model"]))


def _write_classes(pdf: Document, slide: Mapping[str, Any]) -> None:
    names = [_shorten(name, 14) for name in slide["columns"]]
    is_reviewed = bool(slide["figures"]["review"])
    widths = (4, *[1] * (len(names) + 1), 1.7, *[1.3] * is_reviewed)
    pdf.style(7.5)
    room = INNER * widths[0] / sum(widths) - _PADDING  # a line for each
    rows = [
        [pdf.shorten(_with_role(row), room), *_numbers(row, is_reviewed)] for row in slide["classes"][:_MAX_CLASSES]
    ]
    if len(slide["classes"]) > _MAX_CLASSES:
        rows.append([f"{len(slide['classes']) - _MAX_CLASSES} more", *[""] * (len(widths) - 1)])
    header = ["Class", *names, "All", "Of spermatozoa", *["After review"] * is_reviewed]
    write_table(pdf, "Counts", header, rows, widths, width=INNER)


def _numbers(row: Mapping[str, Any], is_reviewed: bool) -> list[str]:
    after = [str(row["reviewed"])] if is_reviewed else []
    return [*map(str, row["counts"]), str(row["total"]), row["share"], *after]


def _write_replicates(pdf: Document, replicates: Sequence[Mapping[str, Any]]) -> None:
    columns = {
        "name": "Replicate",
        "num_sperm": "Sperm.",
        "num_normal": "Normal",
        "percent": "Counted",
        "interval": "Interval",
        "corrected": "Corrected",
        "reviewed": "After review",
        "bounds": "Range",
        "num_referred": "Referred",
        "num_unreadable": "No prediction",
    }
    rows = [
        [_shorten(str(row[key]), 18) for key in columns]  # of the figures none is as long
        for row in replicates[:_MAX_REPLICATES]
    ]
    if len(replicates) > _MAX_REPLICATES:
        rows.append([f"{len(replicates) - _MAX_REPLICATES} more", *[""] * (len(columns) - 1)])
    write_table(
        pdf,
        "Replicates",
        list(columns.values()),
        rows,
        (1.4, 0.9, 0.95, 1.1, 1.45, 1.2, 1.4, 1.45, 1.1, 1.2),
        width=INNER,
    )


def _write_unreadable(pdf: Document, slide: Mapping[str, Any]) -> None:
    files = slide["unreadable"]
    rows = [[f"{_shorten(row['file'], 80)}: {row['text']}"] for row in files[:_MAX_UNREADABLE]]
    if len(files) > _MAX_UNREADABLE:
        rows.append([f"and {len(files) - _MAX_UNREADABLE} more, listed in scores.csv"])
    title = f"Files without a prediction: {len(files)} of {slide['num_files']}"
    write_table(pdf, title, ["File"], rows or [["none"]], (1,), width=INNER)


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


def _write_sheet(pdf: Document, slide: Mapping[str, Any]) -> None:
    pdf.add_page()
    pdf.line_of_text(f"Contact sheet · {slide['title']}", 13, bold=True)
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
