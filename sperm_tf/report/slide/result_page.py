"""The first page of a slide in the PDF: the sample, the number, how it was counted, whether it stands, a signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.report.slide.layout import HEIGHT, INK, INNER, MARGIN, MUTED, Document, write_table

_SIGNATURE = HEIGHT - 24
_BLUE, _BAND = (31, 95, 153), (245, 224, 170)
_VERDICTS = {"good": (227, 241, 232), "bad": (250, 231, 225), "none": (241, 241, 238)}
_FACTS_IN_A_ROW = 2


def write(pdf: Document, slide: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Writes the page.

    Args:
        pdf: the document.
        slide: its facts, of `sperm_tf.report.slide.facts.describe_slide`.
        content: what the page shows beside them.
    """
    pdf.add_page()
    pdf.line_of_text(f"Sperm morphology · slide report · {content['date']}", 8, colour=MUTED)
    pdf.line_of_text(slide["title"], 17, bold=True)
    pdf.ln(2)
    _write_sample(pdf, slide["sample"])
    _write_share(pdf, slide["figures"])
    _write_figures(pdf, slide["figures"]["rows"])
    for line in (slide["figures"]["denominators"], slide["figures"]["review"]):
        if line:
            pdf.line_of_text(line, 9)
    for line in filter(None, (slide["accepted_normal"], slide["copies"])):
        pdf.line_of_text(line, 9, bold=True)
    pdf.ln(3)
    _write_verdict(pdf, slide["verdict"])
    pdf.ln(1)
    pdf.line_of_text(content["scope"], 8, colour=MUTED)
    if pdf.get_y() > _SIGNATURE:
        pdf.add_page()
    _write_signature(pdf)


def _write_sample(pdf: Document, sample: Sequence[Mapping[str, str]]) -> None:
    """What is known of the sample; a line for a pen where nobody said."""
    width = INNER / _FACTS_IN_A_ROW
    pdf.set_line_width(0.2)
    for start in range(0, len(sample), _FACTS_IN_A_ROW):
        top = pdf.get_y()
        for column, fact in enumerate(sample[start : start + _FACTS_IN_A_ROW]):
            left = MARGIN + column * width
            pdf.set_xy(left, top)
            pdf.style(7.5, colour=MUTED)
            pdf.cell(25, 6, fact["name"])
            pdf.style(9, bold=True)
            pdf.cell(width - 31, 6, pdf.shorten(fact["value"], width - 33))
            pdf.set_draw_color(*MUTED)
            pdf.line(left + 25, top + 5.6, left + width - 6, top + 5.6)
        pdf.set_xy(MARGIN, top + 7)
    pdf.ln(4)


def _write_share(pdf: Document, figures: Mapping[str, Any]) -> None:
    """The percentage and a sentence, and beside them the axis with interval and range."""
    top = pdf.get_y()
    pdf.style(10, bold=True)
    pdf.cell(75, 5, "Normal forms among spermatozoa", new_x="LMARGIN", new_y="NEXT")
    pdf.style(32, bold=True)
    pdf.cell(75, 15, figures["percent"], new_x="LMARGIN", new_y="NEXT")
    pdf.style(10)
    pdf.cell(75, 6, f"95 % interval {figures['interval'] or '–'}", new_x="LMARGIN", new_y="NEXT")
    pdf.style(9.5)
    pdf.multi_cell(95, 4.8, figures["sentence"], align="L", new_x="LMARGIN", new_y="NEXT")
    bottom = pdf.get_y()
    if figures["is_defined"]:
        _draw_axis(pdf, figures, left=MARGIN + 106, top=top + 10, width=INNER - 110)
    pdf.set_xy(MARGIN, max(bottom, pdf.get_y()) + 3)


def _draw_axis(pdf: Document, figures: Mapping[str, Any], *, left: float, top: float, width: float) -> None:
    low, high = figures["interval_bounds"]
    least, most = figures["bounds_bounds"]
    if figures["is_open"]:
        pdf.set_fill_color(*_BAND)
        pdf.rect(left + width * least, top, max(width * (most - least), 0.4), 7, "F")
    pdf.set_fill_color(*_BLUE)
    pdf.rect(left + width * low, top + 2.6, max(width * (high - low), 0.4), 1.8, "F")
    pdf.circle(left + width * figures["share"], top + 3.5, 1.8, "F")
    has_ring = figures["lead"] != "counted"
    if has_ring:
        pdf.set_draw_color(*_BLUE)
        pdf.set_line_width(0.5)
        pdf.circle(left + width * figures["counted_share"], top + 3.5, 1.6, "D")
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
    counted = " Ring: counted." if has_ring else ""
    band = " Band: range after review." if figures["is_open"] else ""
    words = f"Point and bar: the percentage with its 95 % interval.{counted}{band}"
    pdf.multi_cell(width, 3, words, align="L")


def _write_figures(pdf: Document, rows: Sequence[Mapping[str, str]]) -> None:
    columns = {
        "name": "Estimate",
        "percent": "Normal forms",
        "interval": "95 % interval",
        "of": "Normal of sperm.",
        "method": "Method",
    }
    cells = [[row[key] for key in columns] for row in rows]
    widths = (1.45, 1.25, 1.35, 1.35, 3.6)
    header = list(columns.values())
    write_table(pdf, "How it was counted", header, cells, widths, width=INNER, last_is_text=True)


def _write_verdict(pdf: Document, verdict: Mapping[str, str]) -> None:
    pdf.set_fill_color(*_VERDICTS[verdict["kind"]])
    pdf.style(10, bold=True)
    pdf.multi_cell(0, 6.5, f"{verdict['title']}.", fill=True, align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.style(9)
    pdf.multi_cell(0, 5, verdict["text"], fill=True, align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(1.5)


def _write_signature(pdf: Document) -> None:
    pdf.set_draw_color(*INK)
    pdf.style(7, colour=MUTED)
    left = MARGIN
    for title, width in (("Name", 70), ("Signature", 70), ("Date", 30)):
        pdf.line(left, _SIGNATURE, left + width, _SIGNATURE)
        pdf.set_xy(left, _SIGNATURE + 0.5)
        pdf.cell(width, 4, title)
        left += width + (INNER - 170) / 2
