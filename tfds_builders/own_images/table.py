"""A CSV table of images, as spreadsheets export it."""

from __future__ import annotations

import csv
import io
import pathlib
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tfds_builders.own_images.names import DataDirError, clean_label, is_file, safe_member

TABLE_SUFFIXES = (".csv", ".tsv")
_REQUIRED = ("file", "label")
_GROUP = "group"
_DELIMITERS = ",;\t"
_MAX_LISTED = 5


class TableRow(NamedTuple):
    """One image of a table.

    Attributes:
        line: of the table, from 1.
        file: path below the table's folder.
        label: the class.
        group: patient, slide, or what else its images have in common; None where the table has no such column.
    """

    line: int
    file: str
    label: str
    group: str | None


def read_table(path: pathlib.Path) -> list[TableRow]:
    """Reads a table with the columns `file`, `label` and optionally `group`; further columns are left alone.

    The first line names the columns. Commas, semicolons and tabs may separate them; the encoding is UTF-8, with a byte
    order mark or without. Paths are relative to the table's folder and must stay below it.

    Args:
        path: the table.

    Returns:
        Its rows, in order, without blank lines.

    Raises:
        DataDirError: a column, a label, a group or a file is missing, or a file is listed twice; the message gives
            the lines.
        OSError: the table may not be read.
    """
    lines = read_lines(path)
    columns = _find_columns([cell for _, cells in lines[:1] for cell in cells], path)
    rows = [_read_row(line, cells, columns, path) for line, cells in lines[1:]]
    rows = list(_with_existing_files(rows, path))
    _check_unique(rows, path)
    return rows


def read_lines(path: pathlib.Path) -> list[tuple[int, list[str]]]:
    """Line and cells of everything in a table that is not blank, the header first.

    Args:
        path: the table; UTF-8; commas, semicolons or tabs separate its cells.

    Raises:
        DataDirError: it is encoded otherwise, or a quote is left open.
        OSError: it may not be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataDirError(
            f"table must be encoded in UTF-8. Received: {path} ({error}). In a spreadsheet, save it as 'CSV UTF-8'"
        ) from error
    head = text.lstrip().partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise DataDirError(
            f"table must be CSV. Received: {path}, line {reader.line_num} ({error}). Mend its quotes"
        ) from error
    return found


def _find_columns(header: Sequence[str], path: pathlib.Path) -> dict[str, int]:
    names = [name.casefold() for name in header]
    wrong = [name for name in _REQUIRED if names.count(name) != 1] + [_GROUP] * (names.count(_GROUP) > 1)
    if wrong:
        raise DataDirError(
            f"table must have the columns file and label, and may have group, each once. Received: {path} with the "
            f"columns {', '.join(header) or '(none)'}. Name them in its first line: {', '.join(wrong)}"
        )
    return {name: names.index(name) for name in (*_REQUIRED, _GROUP) if name in names} | {"": len(names)}


def _read_row(line: int, cells: Sequence[str], columns: dict[str, int], path: pathlib.Path) -> TableRow:
    where = f"{path}, line {line}"
    if len(cells) > columns[""] and any(cells[columns[""] :]):
        raise DataDirError(
            f"rows must have as many entries as the first line, {columns['']}. Received: {where} with {len(cells)}. "
            "Put quotes around entries that hold the separator"
        )
    cells = [*cells, *[""] * columns[""]]
    group = None
    if _GROUP in columns:
        group = unicodedata.normalize("NFC", cells[columns[_GROUP]])
        if not group:
            raise DataDirError(
                f"group must not be empty. Received: {where}. Name the patient or slide; give an image of which it is "
                "not known a group of its own, or leave it out"
            )
    member = safe_member(cells[columns["file"]], where=where)
    return TableRow(line, member, clean_label(cells[columns["label"]], where=where), group)


def _check_unique(rows: Sequence[TableRow], path: pathlib.Path) -> None:
    first: dict[str, TableRow] = {}
    for row in rows:
        if first.setdefault(row.file, row) is not row:
            raise DataDirError(
                f"table must list every file once. Received: {row.file!r} in lines {first[row.file].line} and "
                f"{row.line} of {path}. Remove one of them"
            )


def _with_existing_files(rows: Sequence[TableRow], path: pathlib.Path) -> Iterator[TableRow]:
    missing = []
    for row in rows:
        # Names with accents are composed on one system and decomposed on another.
        forms = (row.file, *(unicodedata.normalize(form, row.file) for form in ("NFC", "NFD")))
        found = next((name for name in forms if is_file(path.parent / name)), None)
        if found is None:
            missing.append(row)
        else:
            yield row._replace(file=found)
    if missing:
        listed = ", ".join(f"{row.file!r} (line {row.line})" for row in missing[:_MAX_LISTED])
        more = f" and {len(missing) - _MAX_LISTED} more" if len(missing) > _MAX_LISTED else ""
        raise DataDirError(
            f"every file of the table must exist below {path.parent}. Received: {len(missing)} that do not: "
            f"{listed}{more}. Mend the paths, which are relative to the table's folder, or remove the lines"
        )
