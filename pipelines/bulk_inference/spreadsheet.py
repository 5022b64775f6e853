"""A copy of a table for people who open it in a spreadsheet: text stays text there, whatever it begins with.

A spreadsheet runs a cell of a CSV file that begins with `=`, `+`, `-` or `@` as a formula, and names of files come from
elsewhere. CSV and Parquet stay exact, for programs.
"""

from __future__ import annotations

import contextlib
import pathlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sperm_tf.whole_files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".xlsx"
MAX_ROWS = 1_048_576
"""Rows of a worksheet, its header among them (Excel's limit)."""
_MAX_TEXT = 32_767  # characters of a cell (Excel's limit)
_CUT = "…"
_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n")
_BATCH_ROWS = 10_000
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def path_of(parquet: pathlib.Path) -> pathlib.Path:
    """Where the copy of a table is."""
    return parquet.with_suffix(SUFFIX)


def write(parquet: pathlib.Path) -> str:
    """Writes `<name>.xlsx` beside `<name>.parquet`, row by row, in flat memory.

    Args:
        parquet: the table, of text and numbers.

    Returns:
        A line for people where the table has more rows than a worksheet takes, and the copy only the first ones; empty
        where it has all.
    """
    import pyarrow.parquet as pq
    import xlsxwriter

    with (
        pq.ParquetFile(parquet) as file,
        replacing(path_of(parquet)) as unfinished,
        _parts(parquet) as temporary,
    ):
        num_rows, kept = file.metadata.num_rows, min(file.metadata.num_rows, MAX_ROWS - 1)
        note = "" if kept == num_rows else _describe_gap(parquet, kept, num_rows)
        with xlsxwriter.Workbook(unfinished, {**_OPTIONS, "tmpdir": str(temporary)}) as book:
            book.use_zip64()
            sheet = book.add_worksheet("first rows only" if note else parquet.stem[:31])
            quoted = book.add_format({"quote_prefix": True})
            sheet.freeze_panes(1, 0)
            for column, name in enumerate(file.schema_arrow.names):
                _write_text(sheet, 0, column, name, quoted)
            row = 1
            for batch in file.iter_batches(_BATCH_ROWS):
                for values in zip(*(_to_cells(column) for column in batch.columns), strict=True):
                    if row > kept:
                        break
                    _write_row(sheet, row, values, quoted)
                    row += 1
            if note:
                book.add_worksheet("note").write_string(0, 0, note)
    return note


@contextlib.contextmanager
def _parts(parquet: pathlib.Path) -> Iterator[pathlib.Path]:
    """An empty folder for the rows until the file is packed."""
    folder = parquet.with_name(f".unfinished.{parquet.stem}.parts")
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _describe_gap(parquet: pathlib.Path, kept: int, num_rows: int) -> str:
    return (
        f"{parquet.stem}{SUFFIX} holds the first {kept:,} of {num_rows:,} rows, as many as a spreadsheet takes; "
        f"{parquet.stem}.csv and {parquet.name} hold all."
    )


def _to_cells(column: pa.Array) -> list[Any]:
    """Values of Python: float32 by its shortest decimals, as in the CSV, and not by the digits of float64."""
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        column = column.cast(pa.string()).cast(pa.float64())
    return column.to_pylist()


def _write_row(sheet: Any, row: int, values: tuple[Any, ...], quoted: Any) -> None:
    for column, value in enumerate(values):
        if isinstance(value, str):
            _write_text(sheet, row, column, value, quoted)
        elif value is not None and value - value == 0:  # neither NaN nor infinite, which a worksheet cannot hold
            sheet.write_number(row, column, value)
        elif value is not None:
            sheet.write_string(row, column, str(value))


def _write_text(sheet: Any, row: int, column: int, text: str, quoted: Any) -> None:
    """Text that would run has the format that keeps it text even where somebody edits the cell."""
    if len(text) > _MAX_TEXT:
        text = text[: _MAX_TEXT - len(_CUT)] + _CUT
    sheet.write_string(row, column, text, quoted if text.startswith(_RUNS) else None)
