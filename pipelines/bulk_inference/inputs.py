"""Where the crops to score are: in a folder, in archives, or named by a pattern or a table.

`pipelines.bulk_inference.archive_members` says what a crop is known by.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import itertools
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping

from pipelines.bulk_inference.archive_members import (
    IN_ARCHIVE,
    Crop,
    crop_of_file,
    find_lister,
    kind_of,
)
from pipelines.bulk_inference.table import list_table
from sperm_tf.data.image_files import SUFFIXES, DataDirError, describe_ignored, is_hidden, walk_images
from sperm_tf.data.tables import FILE, TABLE_SUFFIXES

__all__ = ["INPUTS_FILE", "IN_ARCHIVE", "RUN_FILE", "Crop", "CropList", "list_crops"]

RUN_FILE, INPUTS_FILE = "run.json", "inputs.parquet"
"""What a folder of scores is known by."""


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
        columns, listed = list_table(path)
        return CropList(path.parent.resolve(), columns, tuple(listed))
    if path.exists():
        root = path if path.is_dir() else path.parent
        found = [path]
    else:
        root, found = _match(path)
    ignored: Counter[str] = Counter()
    crops = sorted({crop for entry in found for crop in _expand(entry, root, ignored)})
    if not crops:
        remedy = describe_ignored(ignored) or "Look at the path"
        raise DataDirError(
            f"input must hold images ({', '.join(SUFFIXES)}): a folder, a tar or zip archive, a table with a column "
            f"{FILE}, or a pattern in quotes. Received: {source!r}, "
            f"{'in which none is found' if found else 'which matches nothing'}. {remedy}"
        )
    return CropList(root.resolve(), (), tuple(crops), dict(ignored.most_common()))


def _match(pattern: pathlib.Path) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """The folder where a pattern begins, and what it matches below.

    Brackets may belong to a name, `slide [1]/*.png`: a folder that exists under the name as it stands is that one, and
    a part after the first with `*`, `?` or `[...]` is tried in both readings.
    """
    root, rest = pathlib.Path(pattern.anchor), list(pattern.relative_to(pattern.anchor).parts)
    while len(rest) > 1 and (not glob.has_magic(rest[0]) or (root / rest[0]).is_dir()):
        root /= rest.pop(0)
    readings = ([part, part.replace("[", "[[]")] if "[" in part else [part] for part in rest)
    matches = {match for parts in itertools.product(*readings) for match in root.glob("/".join(parts))}
    found = [match for match in sorted(matches) if not _is_left_out(match, root)]
    folders = {match for match in found if match.is_dir()}  # with `**`, what is in them is matched, too
    return root, [match for match in found if folders.isdisjoint(match.parents) or find_lister(match)]


def _expand(path: pathlib.Path, root: pathlib.Path, ignored: Counter[str]) -> Iterator[Crop]:
    """The images that a path stands for."""
    if path.is_dir():
        for file in walk_images(path, ignored, leaves_out=_is_score_folder):
            yield crop_of_file(file, root)
    elif path.suffix.casefold() in SUFFIXES:
        yield crop_of_file(path, root)
    elif lister := find_lister(path):
        yield from lister(path, root, ignored)
    else:
        ignored[kind_of(path.name)] += 1


def _is_score_folder(path: pathlib.Path) -> bool:
    """Whether scores were written to a folder: the overlays in it are no crops."""
    return all((path / name).is_file() for name in (RUN_FILE, INPUTS_FILE))


def _is_left_out(path: pathlib.Path, root: pathlib.Path) -> bool:
    inside = [root / part for part in [path.relative_to(root), *path.relative_to(root).parents][:-1]]
    return any(is_hidden(part) or _is_score_folder(part) for part in inside)
