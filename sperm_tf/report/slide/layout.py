"""What the pages of a PDF are laid out with: a document, its text styles, and tables."""

from __future__ import annotations

import importlib.util
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fpdf import FPDF
from fpdf.fonts import FontFace, TTFFont

MARGIN, HEIGHT = 15.0, 297.0  # millimetres, as everything here
INNER = 210.0 - 2 * MARGIN
GAP = 8.0
FOOT = HEIGHT - 16  # nothing but the notice stands below it
INK, MUTED, _LINE = (27, 34, 44), (89, 99, 111), (200, 200, 195)
_FONT = "DejaVu"


class Document(FPDF):
    """A4 with the notice at the foot of each page."""

    def __init__(self, content: Mapping[str, Any]):
        super().__init__(format="A4")
        self._content = content
        self._scratch: Document | None = None
        fonts = _find_fonts()  # fpdf2's own know Latin letters alone
        self.add_font(_FONT, "", fonts / "DejaVuSans.ttf")
        self.add_font(_FONT, "B", fonts / "DejaVuSans-Bold.ttf")
        self.set_margin(MARGIN)
        self.set_auto_page_break(False)
        self.set_title("Sperm morphology: slide report")
        self.set_creator(f"sperm_tf {content['version']}")

    def footer(self) -> None:
        """Notice, version and page."""
        self.set_y(-15)
        self.style(6.5, colour=MUTED)
        self.multi_cell(INNER - 22, 3, self._content["notice"], align="L", new_x="RIGHT", new_y="TOP")
        line = f"sperm_tf {self._content['version']}\nPage {self.page_no()} of {{nb}}"
        self.multi_cell(30, 3, line, align="L")  # fpdf2 would align the placeholder, not the number

    def normalize_text(self, text: str) -> str:
        """What fpdf2 writes of a text: letters that the font lacks, which it would drop, by their code points.

        Two slides whose names differ in such letters alone must not become one.
        """
        font = self.fonts[f"{_FONT.lower()}{self.font_style}"]
        assert isinstance(font, TTFFont)
        return super().normalize_text(
            "".join(
                letter if ord(letter) in font.cmap or letter == "\n" else f"[U+{ord(letter):04X}]" for letter in text
            )
        )

    def style(self, size: float, *, bold: bool = False, colour: tuple[int, int, int] = INK) -> None:
        """Font size in points, weight and colour of what is written next."""
        self.set_font(_FONT, "B" if bold else "", size)
        self.set_text_color(*colour)

    def line_of_text(self, text: str, size: float, **style: Any) -> None:
        """One paragraph over the whole width."""
        self.style(size, **style)
        self.multi_cell(0, size * 0.5, text, align="L", new_x="LMARGIN", new_y="NEXT")

    def write_whole(self, block: Callable[[Document], None]) -> None:
        """Writes a block where it fits, on this page or on a new one."""
        if self._scratch is None:
            self._scratch = Document(self._content)
            self._scratch.add_page()
        self._scratch.set_xy(MARGIN, MARGIN)
        block(self._scratch)
        if self.get_y() + self._scratch.get_y() - MARGIN > FOOT:
            self.add_page()
        block(self)

    def shorten(self, text: str, width: float) -> str:
        """The end of a long name, which tells files apart: as much of it as `width` holds in the current style."""
        if self.get_string_width(text) <= width:
            return text
        starts = range(1, len(text) + 1)
        return next(short for start in starts if self.get_string_width(short := f"…{text[start:]}") <= width)


def _find_fonts() -> pathlib.Path:
    """The fonts that Matplotlib brings; it is not imported, which takes a second."""
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is None or matplotlib.origin is None:
        raise ModuleNotFoundError("the PDF needs Matplotlib's fonts. Run: pip install matplotlib", name="matplotlib")
    return pathlib.Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"


def write_table(
    pdf: Document,
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[float],
    *,
    width: float,
    last_is_text: bool = False,
) -> None:
    """A table from here down, names to the left and numbers to the right; `widths` are shares of `width`."""
    alignment = ["LEFT", *["RIGHT"] * (len(header) - 1)]
    if last_is_text:
        alignment[-1] = "LEFT"
    left = pdf.get_x()
    pdf.style(9, bold=True)
    pdf.cell(width, 6, title, new_x="LEFT", new_y="NEXT")
    pdf.style(7.5)
    pdf.set_draw_color(*_LINE)
    pdf.set_fill_color(255)
    with pdf.table(
        width=width,
        align="LEFT" if left <= MARGIN else "RIGHT",
        col_widths=tuple(widths),
        text_align=tuple(alignment),
        line_height=4.4,
        borders_layout="HORIZONTAL_LINES",
        headings_style=FontFace(emphasis="BOLD", color=MUTED, size_pt=7),
    ) as table:
        for row in (header, *rows):
            table.row(row)
    pdf.ln(2)


def side_by_side(pdf: Document, first: Callable[[Document], None], second: Callable[[Document], None]) -> None:
    """Two blocks beside each other, on one page; what follows stands below the longer one."""

    def write(pdf: Document) -> None:
        top = pdf.get_y()
        first(pdf)
        bottom = pdf.get_y()
        pdf.set_xy(MARGIN + (INNER + GAP) / 2, top)
        second(pdf)
        pdf.set_xy(MARGIN, max(bottom, pdf.get_y()))

    pdf.write_whole(write)
