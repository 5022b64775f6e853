"""Columns of the tables of fields and of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

FIELD, CELL = "field", "cell"
"""Address of the field, as `file` of the fields; number of the cell in it, from 1."""
CROP = "file"
"""Path of the cell's crop below the output folder; empty for a head that is cut by the border."""
BOX = ("head_x0", "head_y0", "head_x1", "head_y1")
SIZES = ("head_length_px", "head_width_px", "head_length_um", "head_width_um")
FLAGS, FLAG_SEPARATOR = "flags", "|"
CROP_PLACE = ("crop_x0", "crop_y0", "crop_side", "padded_share")
CELL_COLUMNS = (FIELD, CELL, *BOX, *SIZES, FLAGS, *CROP_PLACE)
"""What is known of a cell before it is classified."""
STATUS, MESSAGE, COUNT = "status", "message", "num_heads"
NO_HEADS, FAILED = "no_heads", "failed"
"""Statuses of fields that were read: nothing was found; the finder stopped, and `message` says why."""
OUTLINE = "outline"
_WHOLE = (CELL, *BOX, *CROP_PLACE[:3])
_TEXT = (FIELD, FLAGS)


def cell_types() -> dict[str, Any]:
    """Column of a cell -> its type in Parquet."""
    import pyarrow as pa

    kinds: dict[str, Any] = {name: pa.float32() for name in CELL_COLUMNS}
    kinds.update({name: pa.int32() for name in _WHOLE})
    kinds.update({name: pa.string() for name in _TEXT})
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
        "num_cut": whole,
        "num_touching": whole,
        "coverage": real,
        "focus": real,
        "snr": real,
        "cnr": real,
        "background_red": real,
        "background_green": real,
        "background_blue": real,
        "pixel_size_um": real,
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
