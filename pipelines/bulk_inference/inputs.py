"""Where the crops to score are: in a folder, in archives, or named by a pattern or a table.

A crop is known by its address: its path below a root, with slashes, and for one inside an archive the archive's path,
an exclamation mark and its name there, `slide_1.tar!cell_17.png`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import hashlib
import itertools
import os
import pathlib
import re
import tarfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipelines.bulk_inference.table import FILE, read_table
from sperm_tf.data.archives import archive_kind
from tfds_builders.own_images.image_list import HIDDEN, SUFFIXES, is_hidden, suffix_of, walk_images
from tfds_builders.own_images.names import DataDirError, is_file
from tfds_builders.own_images.table import TABLE_SUFFIXES

IN_ARCHIVE = "!"
UNKNOWN = -1
RUN_FILE, INPUTS_FILE = "run.json", "inputs.parquet"
"""What a folder of scores is known by."""
_TAR_NAME = re.compile(r"\.(tar|tgz|tar\.\w+)$", re.IGNORECASE)
ARCHIVE_ERRORS = (tarfile.TarError, zipfile.BadZipFile)


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


@dataclasses.dataclass(frozen=True)
class CropList:
    """Every image of an input.

    Attributes:
        root: the folder that addresses start from.
        columns: names of the table's further columns; empty without a table.
        crops: the images, sorted by their address.
        ignored: suffix -> files of folders, archives and patterns that are not named as images.
    """

    root: pathlib.Path
    columns: tuple[str, ...]
    crops: tuple[Crop, ...]
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256 hex digest of the addresses, sizes, times of change and further columns; not of the root."""
        digest = hashlib.sha256(repr(self.columns).encode())
        for crop in self.crops:
            digest.update(repr(tuple(crop)).encode())
        return digest.hexdigest()


def list_crops(source: str) -> CropList:
    """Lists the images of an input.

    Args:
        source: a folder, searched for files that are named as images, with all its subfolders but those that an earlier
            run wrote its scores to; a table (`.csv`, `.tsv`) with a column `file`, whose paths start from the table's
            folder, and any further columns; a tar or zip archive; or a pattern with `*`, `?` or `[...]` (`**` for
            folders of any depth) that matches any of these but tables. A file of a table may lie in an archive:
            `slide_1.tar!cell_17.png`.

    Raises:
        DataDirError: the input does not exist, holds no image, or is malformed; the message says what to change.
        OSError: a folder, table or archive may not be read.
    """
    path = pathlib.Path(source).expanduser()
    if path.is_file() and path.suffix.casefold() in TABLE_SUFFIXES:
        return _list_table(path)
    if path.exists():
        root = path if path.is_dir() else path.parent
        found = [path]
    else:
        plain = list(itertools.takewhile(lambda part: not glob.has_magic(part), path.parts[:-1]))
        root = pathlib.Path(*plain)
        found = [match for match in root.glob(str(path.relative_to(root))) if not _is_left_out(match, root)]
        folders = {match for match in found if match.is_dir()}  # with `**`, what is in them is matched, too
        found = [match for match in found if folders.isdisjoint(match.parents) or _find_lister(match)]
    ignored: Counter[str] = Counter()
    crops = sorted({crop for entry in found for crop in _expand(entry, root, ignored)})
    if not crops:
        raise DataDirError(
            f"input must hold images ({', '.join(SUFFIXES)}): a folder, a tar or zip archive, a table with a column "
            f"{FILE}, or a pattern in quotes. Received: {source!r}, "
            f"{'in which none is found' if found else 'which matches nothing'}. Look at the path"
        )
    return CropList(root.resolve(), (), tuple(crops), dict(ignored.most_common()))


def _expand(path: pathlib.Path, root: pathlib.Path, ignored: Counter[str]) -> Iterator[Crop]:
    """The images that a path stands for."""
    if path.is_dir():
        for file in walk_images(path, ignored, leaves_out=_is_score_folder):
            yield _crop_of_file(file, root)
    elif path.suffix.casefold() in SUFFIXES:
        yield _crop_of_file(path, root)
    elif lister := _find_lister(path):
        yield from lister(path, root, ignored)
    else:
        ignored[_kind(path.name)] += 1


def _find_lister(path: pathlib.Path) -> Callable[[pathlib.Path, pathlib.Path, Counter[str]], Iterator[Crop]] | None:
    """What lists the images of an archive; None for what is none."""
    if not path.is_file():
        return None
    if archive_kind(path) == "zip":
        return _list_zip
    return _list_tar if _TAR_NAME.search(path.name) else None


def _is_score_folder(path: pathlib.Path) -> bool:
    """Whether scores were written to a folder: the overlays in it are no crops."""
    return all((path / name).is_file() for name in (RUN_FILE, INPUTS_FILE))


def _is_left_out(path: pathlib.Path, root: pathlib.Path) -> bool:
    inside = [root / part for part in [path.relative_to(root), *path.relative_to(root).parents][:-1]]
    return any(is_hidden(part) or _is_score_folder(part) for part in inside)


def _crop_of_file(path: pathlib.Path, root: pathlib.Path, further: Sequence[str] = ()) -> Crop:
    address = _address(path.relative_to(root).as_posix())
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


def _list_zip(path: pathlib.Path, root: pathlib.Path, ignored: Counter[str]) -> Iterator[Crop]:
    name = path.relative_to(root).as_posix()
    # A name that comes again stands for its last content, as it does for whoever unpacks the archive.
    with _archive_errors(path), zipfile.ZipFile(path) as archive:
        for info in {info.filename: info for info in archive.infolist()}.values():
            if info.is_dir():
                continue
            if (kind := _kind(info.filename)) in SUFFIXES:
                yield Crop(_address(f"{name}{IN_ARCHIVE}{info.filename}"), info.file_size, info.CRC)
            else:
                ignored[kind] += 1


def _list_tar(path: pathlib.Path, root: pathlib.Path, ignored: Counter[str]) -> Iterator[Crop]:
    name, changed_ns = path.relative_to(root).as_posix(), path.stat().st_mtime_ns
    crops = {}  # as in a zip
    with _archive_errors(path), open_tar(path) as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]  # or it keeps every header that it has read
            if (kind := _kind(info.name)) in SUFFIXES and (info.isreg() or info.islnk()):
                address = _address(f"{name}{IN_ARCHIVE}{info.name}")
                if is_stored_whole(info):
                    crops[address] = Crop(address, info.size, changed_ns, info.offset_data)
                else:  # a hard link is what it leads to; of a sparse file the bytes do not lie here
                    linked = crops.get(f"{name}{IN_ARCHIVE}{info.linkname}", Crop("", state=changed_ns))
                    crops[address] = linked._replace(file=address)
            elif not info.isdir():
                ignored[kind] += 1
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


def _kind(member: str) -> str:
    """The suffix of a name, by which files that are left out are counted, or that it is hidden."""
    path = pathlib.PurePosixPath(member.replace("\\", "/"))
    if any(is_hidden(pathlib.Path(part)) for part in path.parts):
        return HIDDEN
    return suffix_of(path)


def _address(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataDirError(
            f"names of files must be UTF-8. Received: {os.fsencode(text)!r}. Rename it, for example with convmv"
        ) from error
    return text


def _list_table(path: pathlib.Path) -> CropList:
    columns, rows = read_table(path)
    root = path.parent
    crops = [_crop_of_file(root / _existing(root, file), root, further) for file, further in rows]
    return CropList(root.resolve(), columns, tuple(sorted(crops)))


def _existing(root: pathlib.Path, file: str) -> str:
    """The name as the disk has it: accents are composed on one system and decomposed on another."""
    return next((form for form in spellings(file) if is_file(root / form)), file)


def spellings(name: str) -> tuple[str, ...]:
    """A name as it is, with its accents composed, and with them decomposed."""
    return (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
