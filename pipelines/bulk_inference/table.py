"""The crops that a table names, in folders and in archives, however it spells their names."""

from __future__ import annotations

import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from absl import logging

from pipelines.bulk_inference.archive_members import IN_ARCHIVE, Crop, crop_of_file, find_lister
from sperm_tf.data.image_files import DataDirError
from sperm_tf.data.name_matching import FolderNames, MissingFiles, NameIndex
from sperm_tf.data.tables import Table, TableRow, read_table

_MAX_LISTED = 5


def list_table(path: pathlib.Path) -> tuple[tuple[str, ...], list[Crop]]:
    """Lists the crops of a table with a column of files and any further columns.

    A file is found in whatever case, Unicode form and with whatever separator its path is written, and without its
    suffix, where exactly one fits. One that is not there is a crop without size; a warning says why it is not found.

    Args:
        path: the table; see `sperm_tf.data.tables.read_table`.

    Returns:
        The names of the further columns; and the crops, sorted, with what the table says of each.

    Raises:
        DataDirError: the table is malformed, lists a file twice, gives a name that fits several files, or none of its
            files is there; the message names the lines.
        OSError: it may not be read.
    """
    table = read_table(path)
    _check_columns(table)
    finder = _CropFinder(path.parent)
    found = [(row, finder.find(row.file)) for row in table.rows]
    _check_clear(found, path)
    crops: dict[str, tuple[int, Crop]] = {}
    missing = []
    for row, fitting in found:
        crop = fitting[0] if fitting else crop_of_file(path.parent / row.file, path.parent)
        if crop.file in crops:
            raise DataDirError(
                f"table must list every file once: a cell would be counted twice. Received: {crop.file!r} in line "
                f"{crops[crop.file][0]} and again in {path}, line {row.line}. Remove one of the lines"
            )
        crops[crop.file] = row.line, crop._replace(further=row.cells)
        if not fitting:
            missing.append(row)
    _report_missing(missing, finder, table)
    return table.columns, sorted(crop for _, crop in crops.values())


def _check_columns(table: Table) -> None:
    if not table.rows:
        raise DataDirError(f"table must have at least one row. Received: {table.path} with none. List the images in it")
    if not all(table.columns) or len(set(table.columns)) != len(table.columns):
        raise DataDirError(
            f"table must have another name for every column. Received: {table.path} with the columns "
            f"{', '.join(name or '(no name)' for name in table.columns)} beside that of the files. Mend its first line"
        )


def _check_clear(found: Iterable[tuple[TableRow, list[Crop]]], path: pathlib.Path) -> None:
    unclear = [(row, fitting) for row, fitting in found if len(fitting) > 1]
    if unclear:
        listed = "; ".join(
            f"{row.file!r} (line {row.line}) could be {', '.join(crop.file for crop in fitting)}"
            for row, fitting in unclear[:_MAX_LISTED]
        )
        raise DataDirError(
            f"every row must name one file. Received: {path} with {len(unclear):,} rows that fit several: {listed}. "
            "Write the names as the files have them"
        )


def _report_missing(missing: list[TableRow], finder: _CropFinder, table: Table) -> None:
    """Stops where no file is there, and warns where some are not."""
    if not missing:
        return
    causes = "; ".join(f"{row.file!r} (line {row.line}): {finder.cause(row.file)}" for row in missing[:_MAX_LISTED])
    if len(missing) == len(table.rows):
        raise DataDirError(
            f"table must name files that exist below {table.path.parent}. Received: {table.path}, of whose "
            f"{len(missing):,} files none does: {causes}. Mend the paths, which are relative to the table's folder"
        )
    logging.warning("%s: %d of %d files are not found: %s", table.path, len(missing), len(table.rows), causes)


class _CropFinder:
    """Finds crops by the names that a table gives them; lists every folder and archive once.

    Args:
        root: the table's folder.
    """

    def __init__(self, root: pathlib.Path):
        self._root = root
        self._names = FolderNames(root)
        self._archive_paths: dict[str, str] = {}
        self._members: dict[str, tuple[dict[str, Crop], NameIndex]] = {}
        self._damaged: dict[str, str] = {}
        self._missing: MissingFiles | None = None

    def find(self, file: str) -> list[Crop]:
        """The crops that a name fits; empty where there is none, several where it is not clear."""
        if names := self._names.find(file):
            return [crop_of_file(self._root / name, self._root) for name in names]
        for archive, member in self._archives(file):
            crops, index = self._list(archive)
            if member in crops:
                return [crops[member]]
            if found := index.find(member):
                return [crops[name] for name in found]
        return []

    def cause(self, file: str) -> str:
        """Why no crop is found by a name."""
        for archive, _ in self._archives(file):
            self._list(archive)
            return self._damaged.get(archive, f"{archive} holds no such file")
        self._missing = self._missing or MissingFiles(self._root)
        return self._missing.cause(file)

    def _archives(self, file: str) -> Iterator[tuple[str, str]]:
        """Archives that the name may begin with, and what is then left of it."""
        for mark in re.finditer(IN_ARCHIVE, file):
            start = file[: mark.start()]
            if start not in self._archive_paths:
                found = self._names.find(start)
                is_archive = len(found) == 1 and find_lister(self._root / found[0])
                self._archive_paths[start] = found[0] if is_archive else ""
            if archive := self._archive_paths[start]:
                yield archive, file[mark.end() :]

    def _list(self, archive: str) -> tuple[dict[str, Crop], NameIndex]:
        """Name in the archive -> crop, and how to look it up."""
        if archive not in self._members:
            path = self._root / archive
            lister = find_lister(path)
            crops = {}
            try:
                for crop in lister(path, self._root, Counter(), only_images=False) if lister else ():
                    crops[crop.file.removeprefix(f"{archive}{IN_ARCHIVE}")] = crop
            except DataDirError as error:  # the other files of the table can be scored
                self._damaged[archive] = str(error)
            self._members[archive] = crops, NameIndex(crops)
        return self._members[archive]
