"""A table of crops: a column `file`, and whatever else is known of each image, such as its slide."""

from __future__ import annotations

import pathlib
import unicodedata

from tfds_builders.own_images.names import DataDirError, safe_member
from tfds_builders.own_images.table import read_lines

FILE = "file"


def read_table(path: pathlib.Path) -> tuple[tuple[str, ...], list[tuple[str, tuple[str, ...]]]]:
    """Reads a table with the column `file`, whose paths are below the table's folder, and any further columns.

    Args:
        path: the table; UTF-8, separated by commas, semicolons or tabs, the first line names the columns.

    Returns:
        The names of the further columns; and for each row the file and the further entries, in that order.

    Raises:
        DataDirError: the table is malformed, or lists a file twice; the message names the line.
        OSError: it may not be read.
    """
    lines = read_lines(path)
    names = _column_names(lines, path)
    position = names.index(FILE)
    rows: dict[str, tuple[str, ...]] = {}
    for line, cells in lines[1:]:
        where = f"{path}, line {line}"
        if any(cells[len(names) :]):
            raise DataDirError(
                f"rows must have as many entries as the first line, {len(names)}. Received: {where} with {len(cells)}. "
                "Put quotes around entries that hold the separator"
            )
        cells = [unicodedata.normalize("NFC", cell) for cell in [*cells, *[""] * len(names)][: len(names)]]
        file = safe_member(cells[position], where=where)
        if file in rows:
            raise DataDirError(
                f"table must list every file once: a cell would be counted twice. Received: {file!r} again in {where}. "
                "Remove one of the lines"
            )
        rows[file] = (*cells[:position], *cells[position + 1 :])
    return (*names[:position], *names[position + 1 :]), list(rows.items())


def _column_names(lines: list[tuple[int, list[str]]], path: pathlib.Path) -> list[str]:
    header = [unicodedata.normalize("NFC", cell) for cell in lines[0][1]] if lines else []
    names = [FILE if name.casefold() == FILE else name for name in header]
    if names.count(FILE) != 1 or len(set(names)) != len(names) or not all(names) or len(lines) < 2:
        raise DataDirError(
            f"table must have a column {FILE}, every column another name, and at least one row. Received: {path} with "
            f"the columns {', '.join(header) or '(none)'} and {max(len(lines) - 1, 0)} rows. Mend its first line"
        )
    return names
