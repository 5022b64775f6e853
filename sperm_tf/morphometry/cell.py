"""All measures of one spermatozoon."""

from __future__ import annotations

import dataclasses
import math

from sperm_tf.morphometry.flagellum import MidpieceMeasures, TailMeasures, measure_midpiece, measure_tail
from sperm_tf.morphometry.head import HeadMeasures, find_axis, measure_head, solid_head
from sperm_tf.morphometry.masks import CellMasks

_GROUPS = (("head", HeadMeasures), ("midpiece", MidpieceMeasures), ("tail", TailMeasures))
MEASURE_NAMES = tuple(f"{part}_{field.name}" for part, kind in _GROUPS for field in dataclasses.fields(kind))
"""Columns of `CellMeasures.to_row`, such as `head_length_um`."""
HEAD_OUTLINE_MEASURES = MEASURE_NAMES[: MEASURE_NAMES.index("head_acrosome_share")]
"""Those that take no mask but the head's."""


@dataclasses.dataclass(frozen=True)
class CellMeasures:
    """Measures of one spermatozoon. They are measurements with errors (docs/morphometry.md), no diagnosis.

    Attributes:
        head: of the head; None where no mask was given, or nothing is in it.
        midpiece: of neck and midpiece, likewise.
        tail: of the tail; None where no mask was given. An empty mask is a tail of length 0.
    """

    head: HeadMeasures | None = None
    midpiece: MidpieceMeasures | None = None
    tail: TailMeasures | None = None

    def to_row(self) -> dict[str, float]:
        """Every measure by its name in `MEASURE_NAMES`, in that order; NaN where there is none."""
        row = dict.fromkeys(MEASURE_NAMES, math.nan)
        for part, _ in _GROUPS:
            measures = getattr(self, part)
            if measures is not None:
                row.update({f"{part}_{name}": value for name, value in dataclasses.asdict(measures).items()})
        return row


def measure_cell(masks: CellMasks, *, pixel_size_um: float) -> CellMeasures:
    """Measures one spermatozoon.

    Args:
        masks: of its parts, of one window of the field.
        pixel_size_um: micrometres per pixel; pixels are square.

    Returns:
        The measures.

    Raises:
        ValueError: `pixel_size_um` is not positive and finite.
    """
    if not (math.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise ValueError(
            f"pixel_size_um must be a positive number of micrometres. Received: pixel_size_um={pixel_size_um}. "
            "Take it from the file of the field or from the microscope's calibration."
        )
    masks = masks.crop()
    head = axis = midpiece = tail = None
    if masks.head is not None:
        head = measure_head(masks.head, masks.acrosome, masks.vacuoles, pixel_size_um=pixel_size_um)
        solid = solid_head(masks.head, pixel_size_um)
        axis = None if solid is None else find_axis(solid)
    if masks.midpiece is not None:
        midpiece = measure_midpiece(masks.midpiece, axis, pixel_size_um=pixel_size_um)
    if masks.tail is not None:
        tail = measure_tail(masks.tail, pixel_size_um=pixel_size_um)
    return CellMeasures(head, midpiece, tail)
