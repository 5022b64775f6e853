"""Draws whole fields of view: many cells, crossing tails, debris, uneven light, defocus, with exact masks.

A field is a function of (seed, index, size, pixel size) alone: any worker can draw any field, in any order.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.synthesis.canvas import Canvas
from sperm_tf.synthesis.field_cell import FieldCell, draw_flagellum, draw_head
from sperm_tf.synthesis.field_debris import add_field_debris
from sperm_tf.synthesis.field_layers import HEAD_PARTS, Layers
from sperm_tf.synthesis.field_optics import draw_field_look, expose_field
from sperm_tf.synthesis.field_scene import head_extent_um, plan_cells

_MARGIN_UM = 5.0  # of slide around the field, so that cut cells are drawn whole
_MIN_HEAD_UM2 = 0.5  # of a head in the field, for its cell to count
_MIN_SIDE = 64


@dataclasses.dataclass(frozen=True)
class CellLabel:
    """One cell of a field whose head is, at least in part, in the field.

    Attributes:
        instance: its number in `instances`, from 1.
        kind: `normal`, or a name from `ABNORMAL_KINDS`.
        head_box: x0, y0, x1, y1 of the visible head in pixels; x1 and y1 are exclusive.
        is_cut: whether the head reaches the field's border.
        is_defocused: whether the cell lies out of focus.
        head_length_um: length of the head's outline, cut or not.
        head_width_um: its width.
        midpiece_length_um: length of the midpiece along its course.
        tail_length_um: length of the tail along its course, in the field or not.
    """

    instance: int
    kind: str
    head_box: tuple[int, int, int, int]
    is_cut: bool
    is_defocused: bool
    head_length_um: float
    head_width_um: float
    midpiece_length_um: float
    tail_length_um: float


@dataclasses.dataclass(frozen=True, eq=False)
class SyntheticField:
    """One drawn field.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        parts: uint8 [H, W], part of the uppermost cell, an index into `PART_NAMES`.
        instances: uint16 [H, W], number of that cell; 0 where there is none, and for tails whose head is elsewhere.
        parts_below: uint8 [H, W], part of the next cell below, where cells overlap.
        instances_below: uint16 [H, W], number of that cell.
        cells: the cells, `instance` 1 first.
        pixel_size_um: micrometres per pixel.
    """

    image: np.ndarray
    parts: np.ndarray
    instances: np.ndarray
    parts_below: np.ndarray
    instances_below: np.ndarray
    cells: tuple[CellLabel, ...]
    pixel_size_um: float


def render_field(
    index: int, *, height: int = 512, width: int = 640, pixel_size_um: float = 0.1, seed: int = 0
) -> SyntheticField:
    """Draws one field.

    Args:
        index: number of the field, from 0.
        height: pixels.
        width: pixels.
        pixel_size_um: micrometres per pixel. The same index at another pixel size is the same slide where height and
            width change along.
        seed: any non-negative integer; another seed is another dataset.

    Returns:
        The field and its masks. Equal arguments give equal bytes.

    Raises:
        ValueError: an argument is out of range.
    """
    _check(index, height, width, pixel_size_um, seed)
    sequence = np.random.SeedSequence(int(seed), spawn_key=(2, int(index)))  # 0 and 1 are the crops of `render`
    layout, paint, look_rng, sensor = (np.random.Generator(np.random.PCG64(child)) for child in sequence.spawn(4))
    margin = int(np.ceil(_MARGIN_UM / pixel_size_um))
    canvas, blurred = (Canvas(height + 2 * margin, width + 2 * margin, pixel_size_um) for _ in range(2))
    field_um = np.array([width, height]) * pixel_size_um
    look = draw_field_look(look_rng)
    cells, is_far = plan_cells(field_um, layout)
    add_field_debris(canvas, layout.choice([0.1, 0.6, 1.0, 1.8], p=[0.25, 0.35, 0.3, 0.1]), paint)
    layers = Layers(canvas.height, canvas.width)
    for draw in (draw_flagellum, draw_head):
        for number, cell in enumerate(cells, start=1):
            draw(blurred if is_far[number - 1] else canvas, layers, cell, number, paint)
    layers.crop(margin)
    labels, numbers = _label(cells, is_far, layers, pixel_size_um)
    layers.renumber(numbers)
    image = expose_field(canvas, blurred if any(is_far) else None, margin, look, int(sensor.integers(1 << 62)))
    return SyntheticField(
        image=image,
        parts=layers.parts,
        instances=layers.instances,
        parts_below=layers.parts_below,
        instances_below=layers.instances_below,
        cells=labels,
        pixel_size_um=pixel_size_um,
    )


def _label(
    cells: list[FieldCell], is_far: list[bool], layers: Layers, pixel_size_um: float
) -> tuple[tuple[CellLabel, ...], np.ndarray]:
    """The labels of the cells that count, and the new number of each cell, 0 for the others."""
    numbers = np.zeros(len(cells) + 1, np.uint16)
    height, width = layers.parts.shape
    heads = np.where(np.isin(layers.parts, HEAD_PARTS), layers.instances, 0)
    labels: list[CellLabel] = []
    for number, cell in enumerate(cells, start=1):
        rows, columns = np.nonzero(heads == number)
        if len(rows) * pixel_size_um**2 < _MIN_HEAD_UM2:
            continue
        numbers[number] = len(labels) + 1
        head_length_um, head_width_um = head_extent_um(cell.morphology)
        box = int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
        labels.append(
            CellLabel(
                instance=len(labels) + 1,
                kind=cell.morphology.kind,
                head_box=box,
                is_cut=box[0] == 0 or box[1] == 0 or box[2] == width or box[3] == height,
                is_defocused=is_far[number - 1],
                head_length_um=head_length_um,
                head_width_um=head_width_um,
                midpiece_length_um=cell.midpiece_um,
                tail_length_um=cell.tail_um,
            )
        )
    return tuple(labels), numbers


def _check(index: int, height: int, width: int, pixel_size_um: float, seed: int) -> None:
    for name, value, low in (("index", index, 0), ("seed", seed, 0), ("height", height, _MIN_SIDE),
                             ("width", width, _MIN_SIDE)):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
            raise ValueError(
                f"{name} must be an integer of at least {low}. Received: {name}={value!r}. "
                "Number the fields from 0; a field below 64 pixels shows no cell."
            )
    if not 0.02 <= pixel_size_um <= 0.4:
        raise ValueError(
            f"pixel_size_um must be between 0.02 and 0.4 um. Received: pixel_size_um={pixel_size_um}. "
            "Use 0.05 for an oil objective at full resolution, 0.1 for the classifier's resolution."
        )
