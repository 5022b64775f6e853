"""Flags the heads of a run that are out of focus: known only when the outlines of all fields can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.field_analysis import columns
from sperm_tf.evaluation.quantification import cells_file
from sperm_tf.fields.focus import find_edge_limit
from sperm_tf.fields.found import OUT_OF_FOCUS


def flag_out_of_focus(fields: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], float]:
    """Fields with a flag on every head whose outline is too wide, and their numbers of such heads.

    A head that is cut by the border has no width, and is not judged.

    Args:
        fields: rows of `columns.shard_schema`.

    Returns:
        The rows, and the limit of `find_edge_limit`, in lengths of a median head.
    """
    widths = [cell[columns.EDGE_WIDTH] for field in fields for cell in field["cells"]]
    limit = find_edge_limit([width for width in widths if width is not None])
    return [_flag(field, limit) for field in fields], limit


def _flag(field: Mapping[str, Any], limit: float) -> dict[str, Any]:
    cells = []
    for cell in field["cells"]:
        width = cell[columns.EDGE_WIDTH]
        flags = [cell[columns.FLAGS]] if cell[columns.FLAGS] else []
        if width is not None and width > limit:
            flags.append(OUT_OF_FOCUS)
        cells.append({**cell, columns.FLAGS: cells_file.FLAG_SEPARATOR.join(flags)})
    num_blurred = sum(OUT_OF_FOCUS in cell[columns.FLAGS] for cell in cells)
    return {**field, columns.NUM_OUT_OF_FOCUS: num_blurred, "cells": cells}
