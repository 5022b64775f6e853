"""Finding the file that a table means, where the table spells its name in another way than the disk or the archive.

A name fits exactly; or but for upper and lower case, the Unicode form and the separator of folders; or, where the
table gives no suffix of an image, but for the suffix as well. The first of these ways by which anything fits counts.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import unicodedata
from collections.abc import Iterable, Iterator

from sperm_tf.data.image_files import SUFFIXES, is_file, is_hidden

MAX_WALKED = 50_000
"""Files that are looked through for the cause of a missing one."""


class NameIndex:
    """Names, found however they are spelled.

    Args:
        names: file names, or paths inside an archive.
    """

    def __init__(self, names: Iterable[str]):
        self._by_key: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in dict.fromkeys(names):
            key = name_key(name)
            self._by_key.setdefault(key, []).append(name)
            if (stem := _without_suffix(key)) != key:
                self._by_stem.setdefault(stem, []).append(name)

    def find(self, name: str) -> list[str]:
        """The names that fit, by the strictest way in which any does; more than one where it is not clear."""
        key = name_key(name)
        found = self._by_key.get(key, [])
        for form in spellings(name):
            if form in found:
                return [form]
        if not found and _without_suffix(key) == key:
            found = self._by_stem.get(key, [])
        return list(found)


class FolderNames:
    """The files below a folder, found however their paths are spelled; every folder is listed once.

    Args:
        root: the folder that paths start from.
    """

    def __init__(self, root: pathlib.Path):
        self._root = root
        self._indexes: dict[str, NameIndex] = {}

    def find(self, file: str) -> list[str]:
        """Paths of the files that fit, with slashes, below the folder.

        Args:
            file: the path that is looked for, with slashes.
        """
        for form in spellings(file):
            if is_file(self._root / form):
                return [form]
        return [found for found in self._fits("", file) if is_file(self._root / found)]

    def _fits(self, folder: str, file: str) -> Iterator[str]:
        parts = file.split("/")
        index = self._index(folder)
        # More than one part at once: some programs unpack a zip of Windows to files with backslashes in their names.
        for number in range(1, len(parts) + 1):
            for name in index.find("/".join(parts[:number])):
                found = f"{folder}{name}"
                if number == len(parts):
                    yield found
                else:
                    yield from self._fits(f"{found}/", "/".join(parts[number:]))

    def _index(self, folder: str) -> NameIndex:
        if folder not in self._indexes:
            try:
                names = sorted(entry.name for entry in (self._root / folder).iterdir())
            except OSError:  # no folder, or one that may not be read
                names = []
            self._indexes[folder] = NameIndex(names)
        return self._indexes[folder]


def spellings(name: str) -> tuple[str, ...]:
    """A name as it is, with its accents composed, and with them decomposed."""
    return (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))


def name_key(name: str) -> str:
    """What spellings of one path have in common: case, Unicode form, separator and a leading `./` do not count."""
    path = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).replace("\\", "/")
    return path.removeprefix("./")


class MissingFiles:
    """Why files of a table are not found; looks through the folder once.

    Args:
        root: the folder that paths start from.
    """

    def __init__(self, root: pathlib.Path):
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for path in itertools.islice(_walk(root), MAX_WALKED):
            name = name_key(path.rpartition("/")[2])
            self._by_name.setdefault(name, []).append(path)
            self._by_stem.setdefault(pathlib.PurePosixPath(name).stem, []).append(path)

    def cause(self, file: str, fitting: Iterable[str] = ()) -> str:
        """What is there instead, in a few words.

        Args:
            file: the path that the table gives.
            fitting: files that it could be.
        """
        if several := list(fitting):
            return f"it could be {_join(several)}"
        name = name_key(file.rpartition("/")[2])
        if found := self._by_name.get(name, []):
            return f"a file of this name is {_join(found)}"
        stem = pathlib.PurePosixPath(name).stem if pathlib.PurePosixPath(name).suffix else name
        if found := self._by_stem.get(stem, []):
            return f"with another suffix there is {_join(found)}"
        return "no file has this name"


def _walk(root: pathlib.Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not is_hidden(pathlib.Path(name)))
        for name in sorted(files):
            yield (pathlib.Path(folder) / name).relative_to(root).as_posix()


def _join(paths: list[str], shown: int = 3) -> str:
    more = f" and {len(paths) - shown:,} more" if len(paths) > shown else ""
    return ", ".join(paths[:shown]) + more


def _without_suffix(key: str) -> str:
    suffix = next((suffix for suffix in SUFFIXES if key.endswith(suffix)), "")
    return key.removesuffix(suffix)
