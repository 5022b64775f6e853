"""A table of image files, as spreadsheets and pandas write it: the one reader for training and for scoring."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import difflib
import io
import pathlib
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from sperm_tf.data.image_files import SUFFIXES, DataDirError

TABLE_SUFFIXES = (".csv", ".tsv")
FILE = "file"
_FILE_NAMES = {"filename", "filepath", "image", "imagefile", "imagefilename", "imagename", "imagepath", "img", "path"}
_SYNONYMS = {"label": ("class", "classname", "category", "target", "morphology")}
_DELIMITERS = ",;\t"
_SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=(.)"?\s*', re.IGNORECASE)
_NEAR = 0.75  # `groups`, `group_id` and `grp` for `group`; not `crop`


class TableRow(NamedTuple):
    """A row.

    Attributes:
        line: of the table, from 1.
        file: path below the table's folder, with slashes; it may lie in an archive, `slide_1.tar!cell_17.png`.
        cells: the entries of `Table.columns`, stripped and in Unicode's composed form.
    """

    line: int
    file: str
    cells: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of image files.

    Attributes:
        path: where it is.
        columns: names of its columns beside that of the files, as the table writes them; empty for a column with
            entries and without a name.
        rows: its rows, in order, without blank ones.
    """

    path: pathlib.Path
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]

    def find(self, name: str) -> int | None:
        """Position of a column in `columns`, in whatever case its name is written; None where there is none."""
        return next((index for index, column in enumerate(self.columns) if column.casefold() == name), None)


def read_table(path: pathlib.Path, *, required: Sequence[str] = (), optional: Sequence[str] = ()) -> Table:
    """Reads a table whose first line names its columns.

    The files are in the column `file`; where there is none, in one called `filename`, `image`, `path` or the like.
    Commas, semicolons or tabs separate the columns, or what Excel's line `sep=;` says. The encoding is UTF-8, with a
    byte order mark or without, or UTF-16 with one. Blank lines, columns without name and entry, and the row numbers
    that pandas writes before the first column are left out.

    Args:
        path: the table.
        required: names of further columns that must be there, once.
        optional: names of further columns that may be there, once; one whose name is nearly this is refused.

    Returns:
        The table.

    Raises:
        DataDirError: a column is missing or there twice, a row has more entries than the first line, a file's path
            leads out of the table's folder, the encoding is another, or a quote is left open; the message names the
            line and what to change.
        OSError: it may not be read.
    """
    lines = _read_lines(path)
    header, rows = (lines[0][1], lines[1:]) if lines else ([], [])
    _check_widths(header, rows, path)
    rows = [(line, [*cells, *[""] * len(header)][: len(header)]) for line, cells in rows]
    kept = _kept_columns(header, [cells for _, cells in rows])
    names = [header[index] for index in kept]
    _check_columns(names, required, optional, path)
    file = kept[_file_positions(names)[0]]
    further = [index for index in kept if index != file]
    return Table(
        path,
        tuple(_compose(header[index]) for index in further),
        tuple(
            TableRow(
                line,
                safe_member(cells[file], where=f"{path}, line {line}"),
                tuple(_compose(cells[index]) for index in further),
            )
            for line, cells in rows
        ),
    )


def safe_member(text: str, *, where: str) -> str:
    """A path below the table's folder, with slashes.

    Args:
        text: the table's entry; backslashes, as Windows writes them, count as slashes.
        where: what an error names.

    Raises:
        DataDirError: it is empty, absolute, or leads out of the folder.
    """
    path = pathlib.PurePosixPath(text.replace("\\", "/"))
    if not path.parts or not is_text(text):
        raise DataDirError(f"file must be the path of an image. Received: {text!r} ({where}). Name the file")
    if path.is_absolute() or pathlib.PureWindowsPath(text).drive or ".." in path.parts:
        raise DataDirError(
            f"file must be a path below the table's folder. Received: {text!r} ({where}). Put the table into a folder "
            "above all images and make the paths relative to it; a link to a folder elsewhere is followed"
        )
    return path.as_posix()


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8 and holds no control character."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def _read_lines(path: pathlib.Path) -> list[tuple[int, list[str]]]:
    """Line number and stripped cells of every line that is not blank; Excel's `sep=` line is not among them."""
    text = _decode(path.read_bytes(), path)
    head, *_ = text.splitlines() or [""]
    named = _SEPARATOR_LINE.fullmatch(head)
    first = next((line for line in text.splitlines()[1 if named else 0 :] if line.strip()), "")
    delimiter = named[1] if named else max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found = []
    try:
        if named:
            next(reader)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise DataDirError(
            f"table must be CSV. Received: {path}, line {reader.line_num} ({error}). Mend its quotes"
        ) from error
    return found


def _decode(content: bytes, path: pathlib.Path) -> str:
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataDirError(
            f"table must be encoded in UTF-8. Received: {path}, of which line {line} is not ({error}). In a "
            "spreadsheet, save it as 'CSV UTF-8'"
        ) from error


def _check_widths(header: Sequence[str], rows: Sequence[tuple[int, list[str]]], path: pathlib.Path) -> None:
    for line, cells in rows:
        if any(cells[len(header) :]):
            raise DataDirError(
                f"rows must have as many entries as the first line, {len(header)}. Received: {path}, line {line} with "
                f"{len(cells)}. Put quotes around entries that hold the separator"
            )


def _kept_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Positions of the columns that have a name, or entries that are no row numbers of pandas."""

    def is_left_out(index: int) -> bool:
        entries = [cells[index] for cells in rows]
        is_counter = index == 0 and len(set(entries)) == len(entries) and all(map(str.isdecimal, entries))
        return not header[index] and (is_counter or not any(entries))

    return [index for index in range(len(header)) if not is_left_out(index)]


def _check_columns(names: Sequence[str], required: Sequence[str], optional: Sequence[str], path: pathlib.Path) -> None:
    written = [name.casefold() for name in names]
    files = _file_positions(names)
    wrong = [name for name in required if written.count(name) != 1] + [FILE] * (len(files) != 1)
    wrong += [name for name in optional if written.count(name) > 1]
    if wrong:
        must = f"the columns {FILE} and {' and '.join(required)}" if required else f"a column {FILE}"
        may = f", and may have {' and '.join(optional)}" if optional else ""
        hints = "; ".join(_hint(name, names) for name in wrong)
        raise DataDirError(
            f"table must have {must}{may}, each once. Received: {path} with the columns "
            f"{', '.join(names) or '(none)'}. {hints}"
        )
    for name in optional:
        others = [other for other in names if other.casefold() not in (FILE, *required)]
        if name not in written and (near := _nearest(name, others)):
            raise DataDirError(
                f"table may have the column {name}. Received: {path} with the column {near!r}, which is nearly that. "
                f"Name it {name} if it is meant to be, or in another way if it is not"
            )


def _file_positions(names: Sequence[str]) -> list[int]:
    """Positions of the columns that may hold the files; one called `file` leaves no other."""
    exact = [index for index, name in enumerate(names) if name.casefold() == FILE]
    return exact or [index for index, name in enumerate(names) if _letters(name) in _FILE_NAMES]


def _hint(missing: str, names: Sequence[str]) -> str:
    files = _file_positions(names)
    if missing == FILE and len(files) > 1:
        return f"Name the one that holds the files {FILE}: it could be {', '.join(names[index] for index in files)}"
    if any(name.casefold() == missing for name in names):
        return f"Leave one column {missing}"
    if any(pathlib.PurePath(name).suffix.casefold() in SUFFIXES for name in names):
        return f"Put a line with the columns' names before the first row; {missing} is missing"
    if near := _nearest(missing, [name for name in names if name.casefold() != FILE], cutoff=0.6):
        return f"Rename the column {near!r} to {missing}, if that is what it holds"
    return f"Name the column {missing} in its first line"


def _nearest(wanted: str, names: Sequence[str], cutoff: float = _NEAR) -> str:
    """The name that is most like the wanted one, or a synonym of it; empty where none is."""
    by_letters = {_letters(name): name for name in names if name}
    if meant := [by_letters[word] for word in _SYNONYMS.get(wanted, ()) if word in by_letters]:
        return meant[0]
    close = difflib.get_close_matches(wanted, by_letters, 1, cutoff)
    return by_letters[close[0]] if close else ""


def _letters(name: str) -> str:
    return re.sub(r"[\s_\-]", "", name.casefold())


def _compose(text: str) -> str:
    return unicodedata.normalize("NFC", text)
