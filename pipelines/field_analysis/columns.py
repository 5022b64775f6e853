"""Columns of the tables of fields and of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sperm_tf.evaluation.quantification.cells_file import (
    BOX,
    CELL,
    COUNT,
    COUNTED,
    CROP_PLACE,
    EDGE_WIDTH,
    FIELD,
    FLAGS,
    PIXEL_SIZE,
    PIXEL_SIZE_SOURCE,
)
from sperm_tf.evaluation.quantification.scores_file import INTENSITY
from sperm_tf.morphometry.cell import HEAD_OUTLINE_MEASURES, MEASURE_NAMES
from sperm_tf.morphometry.reference_ranges import RANGED_MEASURES, in_range_column

if TYPE_CHECKING:
    import pyarrow as pa

CROP = "file"
"""Path of the cell's crop below the output folder; empty for a head that is cut by the border."""
SIZES = ("head_length_px", "head_width_px")
IN_RANGE = tuple(map(in_range_column, RANGED_MEASURES))
"""Whether a measure lies within the WHO manual's reference range."""
PART_COLUMNS = frozenset({*MEASURE_NAMES, *IN_RANGE}).difference(
    HEAD_OUTLINE_MEASURES, map(in_range_column, HEAD_OUTLINE_MEASURES)
)
"""Of measures that take masks of other parts than the head."""
CELL_COLUMNS = (
    FIELD,
    CELL,
    *BOX,
    *SIZES,
    EDGE_WIDTH,
    FLAGS,
    COUNTED,
    *CROP_PLACE,
    *MEASURE_NAMES,
    *IN_RANGE,
    PIXEL_SIZE,
    PIXEL_SIZE_SOURCE,
)
"""What is known of a cell before it is classified."""
STATUS, MESSAGE = "status", "message"
NO_HEADS, FAILED = "no_heads", "failed"
"""Statuses of fields that were read: nothing was found; the finder stopped, and `message` says why."""
NUM_OUT_OF_FOCUS = "num_out_of_focus"
COUNTS = ("num_cut", "num_touching", NUM_OUT_OF_FOCUS, "num_counted")
"""Of the heads of a field. How many are out of focus is known when those of all fields are compared: `focus_flags`."""
OUTLINE = "outline"
_WHOLE = (CELL, *BOX, *CROP_PLACE[:3])
_TEXT = (FIELD, FLAGS, PIXEL_SIZE_SOURCE)
_TRUTH = (COUNTED, *IN_RANGE)


def cell_types() -> dict[str, Any]:
    """Column of a cell -> its type in Parquet."""
    import pyarrow as pa

    kinds: dict[str, Any] = {name: pa.float32() for name in CELL_COLUMNS}
    kinds.update({name: pa.int32() for name in _WHOLE})
    kinds.update({name: pa.string() for name in _TEXT})
    kinds.update({name: pa.bool_() for name in _TRUTH})
    return kinds


def field_types() -> dict[str, Any]:
    """Column of a field -> its type in Parquet; columns of the input's table come behind `file`."""
    import pyarrow as pa

    real, whole, text = pa.float32(), pa.int32(), pa.string()
    return {
        "file": text,
        STATUS: text,
        MESSAGE: text,
        "width": whole,
        "height": whole,
        COUNT: whole,
        **dict.fromkeys(COUNTS, whole),
        "coverage": real,
        "focus": real,
        "snr": real,
        "cnr": real,
        "background_red": real,
        "background_green": real,
        "background_blue": real,
        PIXEL_SIZE: real,
        PIXEL_SIZE_SOURCE: text,
        INTENSITY: text,
        "head_length_px": real,
        "sha256": text,
    }


def shard_schema() -> pa.Schema:
    """Schema of the files of stage one: a row a field, its cells nested."""
    import pyarrow as pa

    cell = pa.struct(
        [(CROP, pa.string()), *cell_types().items(), (OUTLINE, pa.list_(pa.float32()))]  # x0, y0, x1, y1, ...
    )
    return pa.schema([*field_types().items(), ("further", pa.list_(pa.string())), ("cells", pa.list_(cell))])
