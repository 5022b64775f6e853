"""A table of labelled images: the columns `file`, `label` and optionally `group`."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sperm_tf.data.image_files import DataDirError
from sperm_tf.data.name_matching import FolderNames, MissingFiles
from sperm_tf.data.tables import Table, read_table
from tfds_builders.own_images.names import clean_label, is_missing, words_of

_LABEL, _GROUP = "label", "group"
_SAME_ORIGIN = {"patient", "patients", "patientid", "donor", "subject", "person", "case", "slide", "sample", "specimen"}
_MAX_LISTED = 5


class LabelledFile(NamedTuple):
    """One image of a table.

    Attributes:
        line: of the table, from 1.
        file: path below the table's folder, as the disk spells it.
        label: the class.
        group: patient, slide, or what else its images have in common; None where the table has no such column.
    """

    line: int
    file: str
    label: str
    group: str | None


def read_labels(path: pathlib.Path) -> tuple[list[LabelledFile], list[str]]:
    """Reads a table with the columns `file`, `label` and optionally `group`; further columns are left alone.

    Args:
        path: the table; see `sperm_tf.data.tables.read_table`. A file is found in whatever case, Unicode form and
            with whatever separator its path is written, and without its suffix, where exactly one fits.

    Returns:
        Its rows, in order; and what to warn of.

    Raises:
        DataDirError: a column, a label, a group or a file is missing, or a file is listed twice; the message gives
            the lines.
        OSError: the table may not be read.
    """
    table = read_table(path, required=(_LABEL,), optional=(_GROUP,))
    label, group = [column.casefold() for column in table.columns].index(_LABEL), table.find(_GROUP)
    _check_present(table, label, "label", "Name the class, or remove the line")
    if group is not None:
        remedy = "Name the patient or slide; give an image of which it is not known a group of its own, or leave it out"
        _check_present(table, group, "group", remedy)
    rows = [
        LabelledFile(
            row.line,
            row.file,
            clean_label(row.cells[label], where=f"{path}, line {row.line}"),
            None if group is None else row.cells[group],
        )
        for row in table.rows
    ]
    rows = list(_with_existing_files(rows, path))
    _check_unique(rows, path)
    return rows, [] if group is not None else _warn_of_unused_groups(table)


def _check_present(table: Table, column: int, name: str, remedy: str) -> None:
    lines = [row.line for row in table.rows if is_missing(row.cells[column])]
    if lines:
        entries = sorted({row.cells[column] for row in table.rows if is_missing(row.cells[column])} - {""})
        written = f", written {', '.join(map(repr, entries))}" if entries else ""
        raise DataDirError(
            f"{name} must not be empty. Received: {table.path}, {_listed_lines(lines)} without one{written}. {remedy}"
        )


def _listed_lines(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - _MAX_LISTED:,} more" if len(lines) > _MAX_LISTED else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {', '.join(map(str, lines[:_MAX_LISTED]))}{more}"


def _warn_of_unused_groups(table: Table) -> list[str]:
    """Columns that seem to say which images belong together, and are not called `group`."""
    unused = [name for name in table.columns if _SAME_ORIGIN.intersection(words_of(name))]
    if not unused:
        return []
    return [
        f"no groups are given, though there is a column {' and '.join(unused)}, which is not used. If images of one "
        f"{unused[0]} belong together, call it {_GROUP}: else they stand in training and test images at once"
    ]


def _check_unique(rows: Iterable[LabelledFile], path: pathlib.Path) -> None:
    first: dict[str, LabelledFile] = {}
    for row in rows:
        if first.setdefault(row.file, row) is not row:
            raise DataDirError(
                f"table must list every file once. Received: {row.file!r} in lines {first[row.file].line} and "
                f"{row.line} of {path}. Remove one of them"
            )


def _with_existing_files(rows: Sequence[LabelledFile], path: pathlib.Path) -> Iterator[LabelledFile]:
    names = FolderNames(path.parent)
    missing: list[tuple[LabelledFile, list[str]]] = []
    for row in rows:
        found = names.find(row.file)
        if len(found) == 1:
            yield row._replace(file=found[0])
        else:
            missing.append((row, found))
    if missing:
        causes = MissingFiles(path.parent)
        listed = "; ".join(
            f"{row.file!r} (line {row.line}): {causes.cause(row.file, found)}" for row, found in missing[:_MAX_LISTED]
        )
        more = f"; and {len(missing) - _MAX_LISTED} more" if len(missing) > _MAX_LISTED else ""
        raise DataDirError(
            f"every file of the table must be one that exists below {path.parent}. Received: {len(missing)} that do "
            f"not: {listed}{more}. Mend the paths, which are relative to the table's folder, or remove the lines"
        )
