"""The picture of a field with its cells marked."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.field_analysis import columns
from pipelines.field_analysis.exports import name_of_class
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.fields.found import OUT_OF_FOCUS
from sperm_tf.fields.pixels import FieldPixels, read_reduced
from sperm_tf.served_names import ACCEPT, REFER
from sperm_tf.whole_files import replacing

_MAX_SIDE = 2048
_LABELLED_SCALE = 0.5  # of a picture below which labels would hide the cells
_REFERRED = (105, 105, 105)
_LINE_SHARE = 0.003  # width of a line by the longer side
_FONT_SHARE = 0.014


def draw_field(
    pixels: FieldPixels,
    cells: Sequence[tuple[Mapping[str, Any], np.ndarray]],
    colours: Mapping[str, Sequence[int]],
    path: pathlib.Path,
) -> None:
    """Draws the outlines and boxes of cells, with their numbers and classes.

    What is referred to a person is grey, its box dashed and its class in question; what has no class is dashed.

    Args:
        pixels: of the field.
        cells: row of the table of cells, and outline [N, 2], of each.
        colours: of the classes.
        path: of the PNG, at most 2,048 pixels a side; without numbers and classes where the field is twice as large.
    """
    from PIL import Image, ImageDraw, ImageFont

    reduced, scale = read_reduced(pixels, _MAX_SIDE)
    image = Image.fromarray(reduced)
    draw = ImageDraw.Draw(image)
    width = 2 if scale < _LABELLED_SCALE else max(1, round(_LINE_SHARE * max(image.size)))
    font = ImageFont.load_default(max(10, round(_FONT_SHARE * max(image.size))))
    for cell, outline in cells:
        decision = cell.get(scores_file.DECISION)
        colour = _REFERRED if decision == REFER else tuple(colours[name_of_class(cell)])
        points = [(float(x) * scale, float(y) * scale) for x, y in (*outline, outline[0])]
        draw.line(points, fill=colour, width=max(1, width // 2))
        x0, y0, x1, y1 = (cell[name] * scale for name in columns.BOX)
        _draw_box(draw, (x0, y0, x1, y1), colour, width, dashed=decision != ACCEPT)
        if scale < _LABELLED_SCALE:
            continue
        label = label_of(cell)
        left, top, right, bottom = draw.textbbox((x0, y0), label, font=font)
        x, y = min(x0, image.width - (right - left) - 2), max(0, y0 - (bottom - top) - 6)
        draw.rectangle((x, y, x + right - left + 4, y + bottom - top + 6), fill=colour)
        draw.text((x + 2, y), label, fill="white", font=font)
    with replacing(path) as unfinished:
        image.save(unfinished, "PNG")


def label_of(cell: Mapping[str, Any]) -> str:
    """What stands at a cell: `3 normal`; where it is referred to a person, `3 refer: normal?`; its lack of focus."""
    name = name_of_class(cell)
    words = f"refer: {name}?" if cell.get(scores_file.DECISION) == REFER else name
    blurred = ", out of focus" if OUT_OF_FOCUS in (cell.get(columns.FLAGS) or "") else ""
    return f"{cell[columns.CELL]} {words}{blurred}"


def _draw_box(draw: Any, box: tuple[float, float, float, float], colour: Any, width: int, *, dashed: bool) -> None:
    if not dashed:
        draw.rectangle(box, outline=colour, width=width)
        return
    x0, y0, x1, y1 = box
    dash = 4 * width
    for start in np.arange(x0, x1, 2 * dash):
        for y in (y0, y1):
            draw.line((start, y, min(start + dash, x1), y), fill=colour, width=width)
    for start in np.arange(y0, y1, 2 * dash):
        for x in (x0, x1):
            draw.line((x, start, x, min(start + dash, y1)), fill=colour, width=width)
