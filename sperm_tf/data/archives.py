"""Reading a release of images in class folders: an extracted folder, a zip, or a RAR.

Public copies name the class folders differently, so every class lists the names it is known by. Nothing is extracted
to disk.
"""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from absl import logging

from sperm_tf.data.rar import ArchiveError, RarArchive, open_rar

MAX_DEPTH = 3  # folders below the given one that are searched for an extracted release
_IGNORED_NAMES = {"thumbs.db", "desktop.ini"}
# Official name of every class folder -> other names it is known by.
ClassFolders = Mapping[str, Sequence[str]]


class LayoutError(ValueError):
    """A folder or an archive that does not hold every class folder exactly once."""


class SourceFile(NamedTuple):
    """A file of a release.

    Attributes:
        image_id: `<official folder name>/<file name>`, the same for every copy of the release.
        class_folder: official name of the class folder.
        member: path inside the folder or archive.
    """

    image_id: str
    class_folder: str
    member: str


class ImageSource:
    """The files of a release, wherever they lie.

    Attributes:
        path: folder or archive.
        files: every file of the class folders, sorted by `image_id`.
    """

    def __init__(self, path: pathlib.Path, class_folders: ClassFolders):
        """Lists the files of a folder or archive.

        Args:
            path: folder that directly holds the class folders, or a zip or RAR that holds them at any depth.
            class_folders: the official folder names and their aliases.

        Raises:
            ArchiveError: the archive is of neither kind, or damaged.
            LayoutError: a class folder is missing, or there are several.
            PermissionError: the archive or a class folder may not be read.
            ImportError: the archive is a RAR and `rarfile` is not installed.
        """
        self.path = pathlib.Path(path)
        self.files = _select(self.path, _list_members(self.path, class_folders), class_folders)

    @contextlib.contextmanager
    def reader(self) -> Iterator[Callable[[str], bytes]]:
        """Opens the source once for many reads; yields a function from a member's path to its bytes."""
        if self.path.is_dir():
            yield lambda member: (self.path / member).read_bytes()
            return
        with _open_archive(self.path) as archive:
            yield archive.read


def find_source(directory: pathlib.Path, class_folders: ClassFolders, *, name: str) -> ImageSource | None:
    """Looks for a release in a folder that a person has filled.

    Archives that carry the dataset's name come first, then extracted folders, then archives of other names: an
    extraction may have been interrupted, an archive cannot be half there without being noticed. Files and folders that
    may not be read are passed over with a warning, unless their name says that they are the release.

    Args:
        directory: the folder to search: its archives, and extracted folders up to three levels down.
        class_folders: the official folder names and their aliases.
        name: the dataset's name; an archive whose file name contains it must be readable.

    Returns:
        The release, or None when there is none.

    Raises:
        ArchiveError, LayoutError, ImportError: an archive that carries the dataset's name cannot be read.
        PermissionError: `directory`, a class folder, or a file or folder that carries the dataset's name may not be
            read.
    """
    with _permission(directory, required=True):
        entries = sorted(directory.iterdir())
    archives = []
    for path in entries:
        with _permission(path, required=_is_named(path, name)):
            if path.is_file() and archive_kind(path):
                archives.append(path)
    named = [path for path in archives if _is_named(path, name)]
    if named:
        return ImageSource(named[0], class_folders)
    for path in itertools.chain(_folders(directory, name), archives):
        with contextlib.suppress(ArchiveError, LayoutError, ImportError):
            return ImageSource(path, class_folders)
    return None


def archive_kind(path: pathlib.Path) -> str:
    """`zip`, `rar` or an empty string, by the first bytes of a file."""
    with path.open("rb") as file:
        head = file.read(7)
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    return "rar" if head.startswith(b"Rar!\x1a\x07") else ""


def _folders(directory: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
    """The folder and those below it that may be read, from the top down."""
    level = [directory]
    for _ in range(MAX_DEPTH + 1):
        readable: list[pathlib.Path] = []
        below: list[pathlib.Path] = []
        for folder in level:
            with _permission(folder, required=_is_named(folder, name)):
                below += [child for child in sorted(folder.iterdir()) if child.is_dir()]
                readable.append(folder)
        yield from readable
        level = below


def _is_named(path: pathlib.Path, name: str) -> bool:
    return name.casefold() in path.name.casefold()


@contextlib.contextmanager
def _permission(path: pathlib.Path, *, required: bool) -> Iterator[None]:
    """Turns a missing permission into an error with a remedy, or into a warning where `path` is not required."""
    try:
        yield
    except PermissionError as error:
        if required:
            raise PermissionError(
                f"path must be readable. Received: {path} ({error.strerror}). Change its permissions or its owner"
            ) from error
        logging.warning("%s may not be read and is passed over", path)


def _list_members(path: pathlib.Path, class_folders: ClassFolders) -> list[str]:
    if path.is_dir():
        official = _official_names(class_folders)
        files: list[pathlib.Path] = []
        for folder in path.iterdir():
            if _letters(folder.name) in official and folder.is_dir():
                with _permission(folder, required=True):
                    files += [file for file in folder.iterdir() if file.is_file()]
        return [file.relative_to(path).as_posix() for file in files]
    with _open_archive(path) as archive:
        return archive.names()


def _select(path: pathlib.Path, members: Sequence[str], class_folders: ClassFolders) -> tuple[SourceFile, ...]:
    official = _official_names(class_folders)
    roots: dict[str, list[SourceFile]] = {}
    for member in members:
        *parents, folder, file_name = ["", *pathlib.PurePosixPath(member.replace("\\", "/")).parts]
        class_folder = official.get(_letters(folder))
        if class_folder is None or "__MACOSX" in parents or file_name.startswith("."):
            continue
        if file_name.casefold() not in _IGNORED_NAMES:
            file = SourceFile(f"{class_folder}/{file_name}", class_folder, member)
            roots.setdefault("/".join(parents), []).append(file)
    complete = [files for files in roots.values() if {file.class_folder for file in files} == set(class_folders)]
    if len(complete) != 1:
        found = sorted({file.class_folder for files in roots.values() for file in files})
        raise LayoutError(
            f"path must hold the class folders {', '.join(class_folders)} side by side, once. Received: {path} with "
            f"{len(complete)} complete sets (class folders found: {', '.join(found) or 'none'}). "
            "Unpack or download the release again"
        )
    files = sorted(complete[0])
    if len({file.image_id for file in files}) != len(files):
        raise LayoutError(
            f"path must hold every class under one folder name. Received: {path}, where two folders of one class share "
            "file names. Remove one of them"
        )
    return tuple(files)


def _official_names(class_folders: ClassFolders) -> dict[str, str]:
    """Letters of every name of a class folder -> official name."""
    return {_letters(alias): folder for folder, aliases in class_folders.items() for alias in (folder, *aliases)}


def _letters(name: str) -> str:
    """`01_Normal` and `Non-Sperm` as `normal` and `nonsperm`: copies differ in numbers, case and separators."""
    return "".join(character for character in name.casefold() if character.isalpha())


@contextlib.contextmanager
def _open_archive(path: pathlib.Path) -> Iterator[RarArchive | _ZipArchive]:
    kind = archive_kind(path)
    if not kind:
        raise ArchiveError(f"path must be a zip or RAR archive. Received: {path}. Download the release again")
    with open_rar(path) if kind == "rar" else _open_zip(path) as archive:
        yield archive


class _ZipArchive:
    """A zip with the methods of `RarArchive`."""

    def __init__(self, path: pathlib.Path, archive: zipfile.ZipFile):
        self._path = path
        self._archive = archive

    def names(self) -> list[str]:
        return [info.filename for info in self._archive.infolist() if not info.is_dir()]

    def read(self, name: str) -> bytes:
        with _zip_errors(self._path):
            return self._archive.read(name)


@contextlib.contextmanager
def _open_zip(path: pathlib.Path) -> Iterator[_ZipArchive]:
    with _zip_errors(path):
        archive = zipfile.ZipFile(path)
    with archive:
        yield _ZipArchive(path, archive)


@contextlib.contextmanager
def _zip_errors(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ArchiveError(
            f"path must be a complete zip archive. Received: {path} ({error}). Download the release again"
        ) from error
    except RuntimeError as error:  # encrypted; NotImplementedError, a RuntimeError: a compression unknown to zipfile
        raise ArchiveError(
            f"path must be a zip archive without a password, compressed by a method that Python's zipfile reads. "
            f"Received: {path} ({error}). Unpack it with another program and put the folder in its place, or download "
            "the release again"
        ) from error
