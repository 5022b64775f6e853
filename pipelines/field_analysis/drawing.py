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

Box = tuple[float, ...]  # x0, y0, x1, y1
_MAX_SIDE = 2048
_LABELLED_SCALE = 0.5  # of a picture below which labels would hide the cells
_REFERRED = (105, 105, 105)
_LINE_SHARE = 0.003  # width of a line by the longer side
_FONT_SHARE = 0.025  # of the longer side: 6 points where two pictures stand side by side on a page
_LABEL_MARGIN = 3


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
    boxes = [tuple(cell[name] * scale for name in columns.BOX) for cell, _ in cells]
    taken = list(boxes)
    for (cell, outline), box in zip(cells, boxes, strict=True):
        colour = _colour_of(cell, colours)
        points = [(float(x) * scale, float(y) * scale) for x, y in (*outline, outline[0])]
        draw.line(points, fill=colour, width=max(1, width // 2))
        _draw_box(draw, box, colour, width, dashed=cell.get(scores_file.DECISION) != ACCEPT)
    labelled = () if scale < _LABELLED_SCALE else zip(cells, boxes, strict=True)
    for (cell, _), box in labelled:
        label = label_of(cell)
        _, _, right, bottom = draw.textbbox((0, 0), label, font=font, anchor="lt")
        place = _place_label((right + 2 * _LABEL_MARGIN, bottom + 2 * _LABEL_MARGIN), box, taken, image.size)
        taken.append(place)
        draw.rectangle(place, fill=_colour_of(cell, colours))
        draw.text((place[0] + _LABEL_MARGIN, place[1] + _LABEL_MARGIN), label, fill="white", font=font, anchor="lt")
    with replacing(path) as unfinished:
        image.save(unfinished, "PNG")


def label_of(cell: Mapping[str, Any]) -> str:
    """What stands at a cell: `3 normal`; where it is referred to a person, `3 normal?`; its lack of focus."""
    name = name_of_class(cell)
    words = f"{name}?" if cell.get(scores_file.DECISION) == REFER else name
    blurred = ", out of focus" if OUT_OF_FOCUS in (cell.get(columns.FLAGS) or "") else ""
    return f"{cell[columns.CELL]} {words}{blurred}"


def _colour_of(cell: Mapping[str, Any], colours: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    return _REFERRED if cell.get(scores_file.DECISION) == REFER else tuple(colours[name_of_class(cell)])


def _place_label(size: tuple[float, float], box: Box, taken: Sequence[Box], image: tuple[int, int]) -> Box:
    """Above or below the box, flush with its left or right side, where it covers the least of what is there."""
    (width, height), (x0, y0, x1, y1) = size, box
    places = []
    for y in (y0 - height, y1):
        for x in (x0, x1 - width):
            left, top = max(0, min(x, image[0] - width)), max(0, min(y, image[1] - height))
            places.append((left, top, left + width, top + height))
    return min(places, key=lambda place: sum(_shared_area(place, other) for other in taken))


def _shared_area(first: Box, second: Box) -> float:
    width, height = (min(first[end], second[end]) - max(first[end - 2], second[end - 2]) for end in (2, 3))
    return max(0.0, width) * max(0.0, height)


def _draw_box(draw: Any, box: Box, colour: Any, width: int, *, dashed: bool) -> None:
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
