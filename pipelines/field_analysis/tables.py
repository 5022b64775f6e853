"""The tables of cells and of fields."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.field_analysis import columns
from sperm_tf.evaluation.quantification import cells_file, scores_file
from sperm_tf.evaluation.quantification.scores_file import Scores
from sperm_tf.whole_files import replacing

if TYPE_CHECKING:
    import pyarrow as pa


class ColumnError(ValueError):
    """A column of the input's table that is called as one of the cells; the message names it."""


def check_columns(further: Sequence[str]) -> None:
    """Refuses columns of an input that are called as those of cells, fields or scores.

    Raises:
        ColumnError, ScoresError: a name is taken.
    """
    scores_file.check_columns(further)
    taken = sorted({*columns.CELL_COLUMNS, *columns.field_types()} & set(further))
    if taken:
        raise ColumnError(
            f"columns of the table must not be called as those of cells and fields. Received: {', '.join(taken)}. "
            "Rename them in the table, or leave them out."
        )


def write_crops_table(path: pathlib.Path, fields: Sequence[Mapping[str, Any]], further: Sequence[str]) -> int:
    """Writes the table of crops that `pipelines.score` takes; one that is the same stays untouched.

    Args:
        path: of the CSV.
        fields: rows of `columns.shard_schema`.
        further: names of the columns of the input's table, which pass through.

    Returns:
        The number of crops.
    """
    rows = [
        [
            cell[columns.CROP],
            *field["further"],
            *("" if cell[name] is None else cell[name] for name in cells_file.CROP_COLUMNS),
        ]
        for field in fields
        for cell in field["cells"]
        if cell[columns.CROP]
    ]
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([scores_file.FILE, *further, *cells_file.CROP_COLUMNS])
        lines.writerows(rows)
    return len(rows)


def join_cells(fields: Sequence[Mapping[str, Any]], further: Sequence[str], scores: Scores | None) -> pa.Table:
    """One row a cell: where it is, its measures, and every column of the scores, empty for heads cut by the border.

    Measures of parts that the finder has no masks of have no column.

    Args:
        fields: rows of `columns.shard_schema`.
        further: names of the columns of the input's table.
        scores: of the crops; None where there are none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = columns.cell_types()
    own = {scores_file.FILE: pa.string(), **{name: pa.string() for name in further}, **kinds}
    cells = [(field, cell) for field in fields for cell in field["cells"]]
    arrays = {scores_file.FILE: pa.array([cell[columns.CROP] for _, cell in cells], pa.string())}
    for index, name in enumerate(further):
        arrays[name] = pa.array([field["further"][index] for field, _ in cells], pa.string())
    for name, kind in kinds.items():
        values = [cell[name] for _, cell in cells]
        if name not in columns.PART_COLUMNS or any(value is not None for value in values):
            arrays[name] = pa.array(values, kind)
    arrays[columns.INTENSITY] = pa.array([field[columns.INTENSITY] for field, _ in cells], pa.string())
    metadata = None
    if scores is not None:
        scored = pq.read_table(scores.path)
        metadata = scored.schema.metadata
        places = {file: row for row, file in enumerate(scored[scores_file.FILE].to_pylist())}
        rows = pa.array([places.get(cell[columns.CROP]) for _, cell in cells], pa.int64())
        for name in scored.column_names:
            if name not in own and name not in arrays:
                arrays[name] = scored[name].combine_chunks().take(rows)
    return pa.table(arrays).replace_schema_metadata(metadata)


def list_fields(fields: Sequence[Mapping[str, Any]], further: Sequence[str]) -> pa.Table:
    """One row a field, without its cells; the columns of the input's table come behind `file`."""
    import pyarrow as pa

    kinds = columns.field_types()
    arrays = {scores_file.FILE: pa.array([field["file"] for field in fields], pa.string())}
    for index, name in enumerate(further):
        arrays[name] = pa.array([field["further"][index] for field in fields], pa.string())
    for name, kind in kinds.items():
        arrays[name] = pa.array([field[name] for field in fields], kind)
    return pa.table(arrays)


def write_table(table: pa.Table, folder: pathlib.Path, stem: str) -> None:
    """Writes a table as Parquet and CSV."""
    import pyarrow.csv
    import pyarrow.parquet as pq

    with replacing(folder / f"{stem}.parquet") as unfinished:
        pq.write_table(table, unfinished)
    with replacing(folder / f"{stem}.csv") as unfinished:
        pyarrow.csv.write_csv(table, unfinished)
