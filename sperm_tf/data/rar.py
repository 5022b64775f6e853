"""Reading RAR archives through `rarfile`, an optional package that drives an extractor of the system.

rarfile (4.5 and before) cannot drive bsdtar: it puts `--` between bsdtar's `-f` and the name that belongs to it.
Where bsdtar is the only extractor it is called from here.
"""

from __future__ import annotations

import contextlib
import pathlib
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from typing import Any


class ArchiveError(ValueError):
    """An archive that cannot be read."""


class RarArchive:
    """A RAR archive, opened with `open_rar`."""

    def __init__(self, path: pathlib.Path, archive: Any):
        self._path = path
        self._archive = archive
        self._only_bsdtar = _only_bsdtar()

    def names(self) -> list[str]:
        """Paths of all files in the archive."""
        return [info.filename for info in self._archive.infolist() if not info.is_dir()]

    def read(self, name: str) -> bytes:
        """Bytes of a file.

        Raises:
            ArchiveError: the file is damaged, or no extractor is installed.
        """
        with _rar_errors(self._path):
            if self._only_bsdtar:
                return self._read_with_bsdtar(self._only_bsdtar, name)
            return self._archive.read(name)

    def _read_with_bsdtar(self, bsdtar: str, name: str) -> bytes:
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", name)
        command = [bsdtar, "-x", "--to-stdout", "--file", str(self._path), "--", pattern]
        result = subprocess.run(command, capture_output=True, check=False)
        if result.returncode or zlib.crc32(result.stdout) != self._archive.getinfo(name).CRC:
            reason = result.stderr.decode(errors="replace").strip() or "wrong CRC"
            raise _rarfile().BadRarFile(f"{name}: {reason}")
        return result.stdout


@contextlib.contextmanager
def open_rar(path: pathlib.Path) -> Iterator[RarArchive]:
    """Opens a RAR archive.

    Args:
        path: the archive.

    Yields:
        The archive; its list of names needs no extractor, reading compressed files does.

    Raises:
        ImportError: `rarfile` is not installed.
        ArchiveError: the archive is damaged.
    """
    with _rar_errors(path):
        archive = _rarfile().RarFile(path)
    with archive:
        yield RarArchive(path, archive)


def _only_bsdtar() -> str | None:
    """Path of bsdtar when it is the only extractor."""
    rarfile = _rarfile()
    try:
        rarfile.tool_setup(bsdtar=False, force=True)
    except rarfile.RarCannotExec:
        return shutil.which(rarfile.BSDTAR_TOOL)
    return None


@contextlib.contextmanager
def _rar_errors(path: pathlib.Path) -> Iterator[None]:
    rarfile = _rarfile()
    try:
        yield
    except rarfile.RarCannotExec as error:
        raise ArchiveError(
            f"path must be an archive that can be unpacked. Received: {path}, a RAR, and no extractor. "
            "Install one of unrar, unar, 7zip (7z) or libarchive-tools (bsdtar), or put the unpacked folder there"
        ) from error
    except rarfile.Error as error:
        raise ArchiveError(
            f"path must be a complete RAR archive. Received: {path} ({error}). Download the release again"
        ) from error


def _rarfile() -> Any:
    try:
        import rarfile
    except ImportError as error:
        raise ImportError("Reading a RAR archive needs the package rarfile: pip install rarfile") from error
    return rarfile
