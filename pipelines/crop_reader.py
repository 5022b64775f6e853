"""Reading crops by their address, from folders and archives."""

from __future__ import annotations

import contextlib
import os
import pathlib
import zipfile
import zlib
from collections.abc import Callable
from typing import TypeVar

from pipelines.crops import ARCHIVE_ERRORS, IN_ARCHIVE, UNKNOWN, Crop, open_tar, spellings
from sperm_tf.data.archives import archive_kind

_Found = TypeVar("_Found")


class CropReader:
    """Reads crops by their address; opens each archive once.

    Args:
        root: the folder that addresses start from.
    """

    def __init__(self, root: str | os.PathLike[str]):
        self._root = pathlib.Path(root)
        self._zips: dict[str, zipfile.ZipFile] = {}
        self._offsets: dict[str, dict[str, tuple[int, int]]] = {}

    def read(self, crop: Crop) -> bytes | None:
        """The bytes of a file; None where it cannot be read."""
        archive, member = self._split(crop.file)
        try:
            if not member:
                return (self._root / crop.file).read_bytes()
            if crop.offset != UNKNOWN:
                return self._read_slice(archive, crop.offset, crop.size)
            return self._read_member(archive, member)
        except (OSError, KeyError, ValueError, RuntimeError, EOFError, zlib.error, *ARCHIVE_ERRORS):
            return None  # RuntimeError: encrypted, or compressed by a method unknown to zipfile

    def read_unchanged(self, crop: Crop, *, in_place: bool) -> bytes | None:
        """The bytes of a file that was listed before; None where it cannot be read, or has changed since.

        Args:
            crop: as it was listed.
            in_place: whether the root is the folder that it was listed in; of a copy, times say nothing.
        """
        content = self.read(crop._replace(offset=UNKNOWN))  # another archive has its files elsewhere
        if content is None or crop.size not in (UNKNOWN, len(content)):
            return None
        archive, member = self._split(crop.file)
        if member and crop.size != UNKNOWN and archive_kind(self._root / archive) == "zip":
            return content if zlib.crc32(content) == crop.state else None
        changed_ns = (self._root / archive).stat().st_mtime_ns
        return content if not in_place or changed_ns == crop.state else None

    def _split(self, file: str) -> tuple[str, str]:
        """The file on the disk, and the name inside it; empty where it is no archive's."""
        archive, _, member = file.partition(IN_ARCHIVE)
        return (file, "") if (self._root / file).is_file() else (archive, member)

    def close(self) -> None:
        """Closes the archives."""
        for archive in self._zips.values():
            archive.close()
        self._zips.clear()

    def _read_slice(self, archive: str, offset: int, size: int) -> bytes:
        with (self._root / archive).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def _read_member(self, archive: str, member: str) -> bytes:
        path = self._root / archive
        if archive in self._zips or (archive not in self._offsets and archive_kind(path) == "zip"):
            if archive not in self._zips:
                self._zips[archive] = zipfile.ZipFile(path)
            return _find(member, self._zips[archive].read)
        if archive not in self._offsets:
            with open_tar(path) as tar:
                self._offsets[archive] = {info.name: (info.offset_data, info.size) for info in tar if info.isreg()}
        return self._read_slice(archive, *_find(member, self._offsets[archive].__getitem__))


def _find(member: str, look_up: Callable[[str], _Found]) -> _Found:
    """What a name stands for, however the archive spells it: a table composes accents, some systems decompose them."""
    for form in spellings(member):
        with contextlib.suppress(KeyError):
            return look_up(form)
    raise KeyError(member)
