"""Reading crops by their address, from folders and archives."""

from __future__ import annotations

import errno
import hashlib
import os
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from typing import TypeVar

from pipelines.bulk_inference.archive_members import (
    ARCHIVE_ERRORS,
    UNKNOWN,
    Crop,
    is_stored_whole,
    open_tar,
    split_address,
)
from sperm_tf.data.archives import archive_kind
from sperm_tf.data.image_files import is_file
from sperm_tf.data.name_matching import NameIndex

MAX_BYTES = 250_000_000
"""More than any image has that `sperm_tf.data.preprocess` accepts; a small archive may hold files of any size."""
_PASSING = {errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
_Found = TypeVar("_Found")


class CropReader:
    """Reads crops by their address; opens each archive once.

    Args:
        root: the folder that addresses start from.
    """

    def __init__(self, root: str | os.PathLike[str]):
        self._root = pathlib.Path(root)
        self._zips: dict[str, zipfile.ZipFile] = {}
        self._members: dict[str, dict[str, zipfile.ZipInfo]] = {}
        self._offsets: dict[str, dict[str, tuple[int, int]]] = {}
        self._indexes: dict[str, NameIndex] = {}

    def locate(self, crop: Crop) -> pathlib.Path | None:
        """The path of a file; None for one in an archive, or that is not there."""
        path = self._root / crop.file
        return path if is_file(path) else None

    def read(self, crop: Crop) -> bytes | None:
        """The bytes of a file; None where it cannot be read.

        Raises:
            OSError: it could be another time: too many files are open, or a share does not answer.
        """
        archive, member = split_address(crop.file, self._root)
        try:
            if not member:
                return self._read_file(crop.file)
            if crop.offset != UNKNOWN:
                return self._read_slice(archive, crop.offset, crop.size)
            return self._read_member(archive, member)
        except (OSError, KeyError, ValueError, RuntimeError, EOFError, zlib.error, *ARCHIVE_ERRORS) as error:
            if may_pass(error):
                raise
            return None  # RuntimeError: encrypted, or compressed by a method unknown to zipfile

    def read_unchanged(self, file: str, sha256: str) -> bytes | None:
        """The bytes at an address; None where they cannot be read, or are others than before.

        Args:
            file: its address.
            sha256: hex digest of the bytes that were there.
        """
        content = self.read(Crop(file))
        return content if content is not None and hashlib.sha256(content).hexdigest() == sha256 else None

    def close(self) -> None:
        """Closes the archives."""
        for archive in self._zips.values():
            archive.close()
        self._zips.clear()

    def _read_file(self, name: str) -> bytes:
        with (self._root / name).open("rb") as file:
            return _limited(file.read(MAX_BYTES + 1))

    def _read_slice(self, archive: str, offset: int, size: int) -> bytes:
        with (self._root / archive).open("rb") as file:
            file.seek(offset)
            return _limited(file.read(min(size, MAX_BYTES + 1)))

    def _read_zipped(self, archive: str, member: str) -> bytes:
        if archive not in self._zips:
            self._zips[archive] = zipfile.ZipFile(self._root / archive)
            self._members[archive] = {info.filename: info for info in self._zips[archive].infolist()}
        with self._zips[archive].open(self._find(archive, member, self._members[archive])) as file:
            return _limited(file.read(MAX_BYTES + 1))

    def _read_member(self, archive: str, member: str) -> bytes:
        path = self._root / archive
        if archive in self._zips or (archive not in self._offsets and archive_kind(path) == "zip"):
            return self._read_zipped(archive, member)
        if archive not in self._offsets:
            with open_tar(path) as tar:
                self._offsets[archive] = _list_members(tar)
        return self._read_slice(archive, *self._find(archive, member, self._offsets[archive]))

    def _find(self, archive: str, member: str, members: Mapping[str, _Found]) -> _Found:
        """What a name stands for, however the archive spells it.

        Accents may be composed or decomposed, folders parted by either separator, and a tar of `.` puts it before
        every name.
        """
        if member in members:
            return members[member]
        if archive not in self._indexes:
            self._indexes[archive] = NameIndex(members)
        found = self._indexes[archive].find(member)
        if len(found) != 1:
            raise KeyError(member)
        return members[found[0]]


def may_pass(error: BaseException) -> bool:
    """Whether a file could be read another time: too many files are open, or a share is busy."""
    return getattr(error, "errno", None) in _PASSING


def _limited(content: bytes) -> bytes:
    if len(content) > MAX_BYTES:
        raise ValueError(f"a crop must have at most {MAX_BYTES} bytes")
    return content


def _list_members(tar: tarfile.TarFile) -> dict[str, tuple[int, int]]:
    """Name -> place and size of every member that can be read in place; a hard link is what it leads to."""
    members: dict[str, tuple[int, int]] = {}
    for info in tar:
        if is_stored_whole(info):
            members[info.name] = info.offset_data, info.size
        elif info.islnk() and info.linkname in members:
            members[info.name] = members[info.linkname]
    return members
