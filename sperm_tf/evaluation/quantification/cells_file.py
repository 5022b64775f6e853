"""The cells that `pipelines.fields` found: names of the columns that others need, and how the tables are read again."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import TYPE_CHECKING, Any

from sperm_tf.evaluation.quantification import scores_file

if TYPE_CHECKING:
    import pandas as pd

FIELD, CELL = "field", "cell"
"""Address of the field, as `file` of the fields; number of the cell in it, from 1."""
BOX = ("head_x0", "head_y0", "head_x1", "head_y1")
FLAGS, FLAG_SEPARATOR = "flags", "|"
EDGE_WIDTH = "head_edge_width"
"""Width of the head's outline in lengths of a median head: its lack of focus (`sperm_tf.fields.focus`)."""
COUNTED = "counted"
"""Whether the head belongs to its field by the rule of two borders: it reaches neither the lower nor the right one."""
CROP_PLACE = ("crop_x0", "crop_y0", "crop_side", "padded_share")
CROP_COLUMNS = (FIELD, CELL, *BOX, FLAGS, *CROP_PLACE)
"""What the table of crops, and so the scores, say of a cell."""
PIXEL_SIZE, PIXEL_SIZE_SOURCE = scores_file.PIXEL_SIZE, "pixel_size_source"
COUNT = "num_heads"
"""Heads of a field."""
CELLS, FIELDS, OVERLAYS, RUN_FILE = "cells", "fields", "overlays", "run.json"
"""Stems of both tables, folder of the overlays, and the record of the run."""


@dataclasses.dataclass(frozen=True, eq=False)
class FoundCells:
    """What a finished run of `pipelines.fields` found.

    Attributes:
        folder: of the run.
        cells: one row a head; docs/fields.md has the columns.
        fields: one row a field, in the order of the run.
        root: that addresses of fields start from.
        finder: what found the heads, of `sperm_tf.fields.finders.FINDERS`; empty where that is not known.
        crop_per_head: side of a crop by the length of its head; None where that is not known.
    """

    folder: pathlib.Path
    cells: pd.DataFrame
    fields: pd.DataFrame
    root: str
    finder: str = ""
    crop_per_head: float | None = None

    def overlay_path(self, index: int) -> pathlib.Path:
        """Of the overlay of a field by its row in `fields`."""
        return self.folder / OVERLAYS / f"{picture_stem(index, self.fields[scores_file.FILE][index])}.png"


def picture_stem(index: int, file: str) -> str:
    """How the pictures and exports of a field are called.

    Args:
        index: place of the field in the run, from 0.
        file: its address.
    """
    return f"{index:06d}_{pathlib.PurePosixPath(file).stem.encode()[:80].decode(errors='ignore')}"


def find(scores: scores_file.Scores) -> FoundCells | None:
    """The cells that scores belong to; None where the scores are of crops that came from elsewhere.

    Args:
        scores: that were read.

    Raises:
        ScoresError: a table differs from the digest beside it.
        OSError: it cannot be read.
    """
    import pandas as pd

    folder = scores.path.parent.parent
    tables = [folder / f"{stem}.parquet" for stem in (CELLS, FIELDS)]
    if scores.path.parent.name != scores_file.FIELD_SCORES or not all(table.is_file() for table in tables):
        return None
    for table in tables:
        scores_file.check_digest(table, command="pipelines.fields")
    record: dict[str, Any] = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    cells, fields = (pd.read_parquet(table) for table in tables)
    facts = record["root"], record.get("finder", ""), record.get("crop_per_head")
    return FoundCells(folder, cells, fields, *facts)
