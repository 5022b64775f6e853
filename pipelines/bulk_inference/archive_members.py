"""The images in archives, and what a crop is known by.

A crop is known by its address: its path below a root, with slashes, and for one inside an archive the archive's path,
an exclamation mark and its name there as the archive spells it, `slide_1.tar!cell_17.png`.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from sperm_tf.data.archives import archive_kind
from sperm_tf.data.image_files import HIDDEN, SUFFIXES, DataDirError, is_file, is_hidden, suffix_of

IN_ARCHIVE = "!"
UNKNOWN = -1
ARCHIVE_ERRORS = (tarfile.TarError, zipfile.BadZipFile)
_TAR_NAME = re.compile(r"\.(tar|tgz|tar\.\w+)$", re.IGNORECASE)


class Crop(NamedTuple):
    """One image to score.

    Attributes:
        file: its address.
        size: bytes; -1 where it is not known: the file cannot be found, or a table says that it lies in an archive.
        state: changes when the file does: in a zip its checksum, else the time of the last change of the file, or of
            the archive that it lies in, in nanoseconds; -1 where neither can be found.
        offset: of its first byte in an uncompressed tar; -1 for everything else.
        further: what the table says of it beside the file, in the order of `CropList.columns`.
    """

    file: str
    size: int = UNKNOWN
    state: int = UNKNOWN
    offset: int = UNKNOWN
    further: tuple[str, ...] = ()


class ArchiveLister(Protocol):
    """Lists the files of an archive."""

    def __call__(
        self, path: pathlib.Path, root: pathlib.Path, ignored: Counter[str], *, only_images: bool = True
    ) -> Iterator[Crop]:
        """Yields a crop for every file.

        Args:
            path: the archive.
            root: the folder that addresses start from.
            ignored: counts what is left out, by suffix.
            only_images: leave out what is not named as an image.
        """


def find_lister(path: pathlib.Path) -> ArchiveLister | None:
    """What lists the files of an archive; None for what is no archive."""
    if not is_file(path):
        return None
    if archive_kind(path) == "zip":
        return _list_zip
    return _list_tar if _TAR_NAME.search(path.name) else None


def crop_of_file(path: pathlib.Path, root: pathlib.Path, further: Sequence[str] = ()) -> Crop:
    """The crop that is a file below the root, whether it is there or not."""
    address = address_of(path.relative_to(root).as_posix())
    try:
        status = path.stat()
    except OSError:  # a link to nowhere, a file that a table names and that is not there, or in an archive
        return Crop(address, state=_archive_state(address, root), further=tuple(further))
    return Crop(address, status.st_size, status.st_mtime_ns, further=tuple(further))


def _archive_state(address: str, root: pathlib.Path) -> int:
    archive, member = split_address(address, root)
    try:
        return (root / archive).stat().st_mtime_ns if member else UNKNOWN
    except OSError:
        return UNKNOWN


def split_address(address: str, root: pathlib.Path) -> tuple[str, str]:
    """The file on the disk, and the name inside it; empty where it is no archive's.

    Folders and files may have an exclamation mark in their own names: the archive ends at the first that makes a file.
    """
    if not is_file(root / address):
        for mark in re.finditer(IN_ARCHIVE, address):
            if is_file(root / address[: mark.start()]):
                return address[: mark.start()], address[mark.end() :]
    return address, ""


def _list_zip(
    path: pathlib.Path, root: pathlib.Path, ignored: Counter[str], *, only_images: bool = True
) -> Iterator[Crop]:
    name = path.relative_to(root).as_posix()
    # A name that comes again stands for its last content, as it does for whoever unpacks the archive.
    with _archive_errors(path), zipfile.ZipFile(path) as archive:
        for info in {info.filename: info for info in archive.infolist()}.values():
            if info.filename.endswith(("/", "\\")):  # a folder, which Windows may write with a backslash
                continue
            if only_images and (kind := kind_of(info.filename)) not in SUFFIXES:
                ignored[kind] += 1
            else:
                yield Crop(address_of(f"{name}{IN_ARCHIVE}{info.filename}"), info.file_size, info.CRC)


def _list_tar(
    path: pathlib.Path, root: pathlib.Path, ignored: Counter[str], *, only_images: bool = True
) -> Iterator[Crop]:
    name, changed_ns = path.relative_to(root).as_posix(), path.stat().st_mtime_ns
    crops = {}  # as in a zip
    with _archive_errors(path), open_tar(path) as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]  # or it keeps every header that it has read
            if info.isdir():
                continue
            kind = kind_of(info.name)
            if not (info.isreg() or info.islnk()) or (only_images and kind not in SUFFIXES):
                ignored[kind] += 1
                continue
            address = address_of(f"{name}{IN_ARCHIVE}{info.name}")
            if is_stored_whole(info):
                crops[address] = Crop(address, info.size, changed_ns, info.offset_data)
            else:  # a hard link is what it leads to; of a sparse file the bytes do not lie here
                linked = crops.get(f"{name}{IN_ARCHIVE}{info.linkname}", Crop("", state=changed_ns))
                crops[address] = linked._replace(file=address)
    yield from crops.values()


def is_stored_whole(info: tarfile.TarInfo) -> bool:
    """Whether a member's bytes lie in the tar one after the other."""
    return info.isreg() and not info.issparse()


def open_tar(path: pathlib.Path) -> tarfile.TarFile:
    """Opens a tar whose files can be read in place: one without compression."""
    return tarfile.open(path, "r:")


@contextlib.contextmanager
def _archive_errors(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except ARCHIVE_ERRORS as error:
        raise DataDirError(
            f"input must be a whole zip, or a tar without compression. Received: {path} ({error}). Uncompress a tar.gz "
            "with gunzip, which leaves a .tar; copy a damaged archive again"
        ) from error


def kind_of(member: str) -> str:
    """The suffix of a name, by which files that are left out are counted, or that it is hidden."""
    path = pathlib.PurePosixPath(member.replace("\\", "/"))
    if any(is_hidden(pathlib.Path(part)) for part in path.parts):
        return HIDDEN
    return suffix_of(path)


def address_of(text: str) -> str:
    """A name as it is, where it is text.

    Raises:
        DataDirError: it cannot be written as UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataDirError(
            f"names of files must be UTF-8. Received: {os.fsencode(text)!r}. Rename it, for example with convmv"
        ) from error
    return text
