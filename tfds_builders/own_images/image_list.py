"""What a user's own data hold: images in class folders, or in a CSV table, with their labels and groups.

Nothing is decoded here: the catalogue does that, and lists what it cannot read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from sperm_tf.data.archives import SourceFile
from sperm_tf.data.decode import UndecodableImageError
from tfds_builders.own_images.names import DataDirError, clean_label
from tfds_builders.own_images.table import TABLE_SUFFIXES, read_table

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
HIDDEN, NO_SUFFIX = "hidden", "no suffix"
# Left by file managers, archivers and network drives.
_SYSTEM_NAMES = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"}
_SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}


@dataclasses.dataclass(frozen=True)
class ImageList:
    """The images of a folder or a table.

    Attributes:
        path: the folder or the table.
        root: the folder that the members' paths start from.
        files: the images, sorted by `image_id`, which is the path below `root`; `class_folder` is the label.
        origins: `image_id` -> patient, slide or whatever else its images have in common, where it is known.
        ignored: suffix of a file that is not read, or `hidden` -> number of such files.
    """

    path: pathlib.Path
    root: pathlib.Path
    files: tuple[SourceFile, ...]
    origins: Mapping[str, str]
    ignored: Mapping[str, int]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels, sorted."""
        return tuple(sorted({file.class_folder for file in self.files}))

    @contextlib.contextmanager
    def reader(self) -> Iterator[Callable[[str], bytes]]:
        """Yields a function from a member's path to its bytes."""
        yield self._read

    def describe(self) -> str:
        """What was understood, in a line: classes, images, groups, and what is left alone."""
        counts = Counter(file.class_folder for file in self.files)
        classes = ", ".join(f"{name} {counts[name]:,}" for name in self.class_names)
        known = len(set(self.origins.values()))
        groups = f"{known:,} groups given" if known else "no groups given, every image is its own"
        ignored = ", ".join(f"{number:,} {suffix}" for suffix, number in self.ignored.items())
        left = f"; left alone: {ignored}" if ignored else ""
        return f"{len(self.files):,} images of {len(counts)} classes ({classes}); {groups}{left}"

    def digest(self) -> str:
        """SHA-256 hex digest of the images' names, labels, groups, sizes and times of change."""
        states = [
            (*file[:2], self.origins.get(file.image_id, ""), *_state(self.root / file.member)) for file in self.files
        ]
        return hashlib.sha256(json.dumps(states).encode()).hexdigest()

    def _read(self, member: str) -> bytes:
        try:
            return (self.root / member).read_bytes()
        except OSError as error:  # a file without permission, a link to nowhere
            raise UndecodableImageError(
                f"file must be readable. Received: {member} ({error.strerror}). Mend its permissions or its link"
            ) from error


def list_images(data_dir: str | os.PathLike[str]) -> ImageList:
    """Lists the images of a folder of class folders, or of a CSV table.

    Folder: each of its folders is a class. Subfolders of a class folder are patients or slides: all images below
    `<class>/p01` belong together, and with those below `<other class>/p01`. Only files named `.bmp`, `.gif`, `.jpeg`,
    `.jpg` or `.png` are read; others are counted. Links are followed.

    Table: see `tfds_builders.own_images.table.read_table`.

    Args:
        data_dir: the folder, or the table, whose name ends with `.csv` or `.tsv`.

    Returns:
        The images.

    Raises:
        DataDirError: `data_dir` is neither, or does not hold two or more classes; the message says what to change.
        OSError: a folder or the table may not be read.
    """
    path = pathlib.Path(data_dir)
    if path.is_dir():
        images = _list_folder(path)
    elif path.is_file() and path.suffix.casefold() in TABLE_SUFFIXES:
        rows = read_table(path)
        files = tuple(sorted(SourceFile(row.file, row.label, row.file) for row in rows))
        origins = {row.file: row.group for row in rows if row.group is not None}
        images = ImageList(path, path.parent, files, origins, {})
    else:
        kind = "is a file of another kind" if path.exists() else "does not exist"
        raise DataDirError(
            f"data_dir must be a folder that holds one folder per class, or a table ({' or '.join(TABLE_SUFFIXES)}). "
            f"Received: data_dir={path}, which {kind}. Name yours: --data_dir=<folder or table.csv>; unpack an archive"
        )
    if len(images.class_names) < 2:
        found = ", ".join(images.class_names) or "none"
        raise DataDirError(
            f"data_dir must hold images of at least two classes. Received: data_dir={path} with {len(images.files)} "
            f"images, classes: {found}. Put the images of every class into a folder of its own below it, or "
            "label them in a table"
        )
    return images


def _list_folder(path: pathlib.Path) -> ImageList:
    ignored: Counter[str] = Counter()
    files: list[SourceFile] = []
    origins: dict[str, str] = {}
    folders = [entry for entry in sorted(path.iterdir()) if entry.is_dir() and not is_hidden(entry)]
    if splits := [folder.name for folder in folders if folder.name.casefold() in _SPLIT_NAMES]:
        raise DataDirError(
            f"data_dir must hold one folder per class. Received: data_dir={path}, whose folders are splits: "
            f"{', '.join(splits)}. Join them to one folder per class: the pipeline makes "
            "its own folds, so that no near duplicate stands in two of them"
        )
    for entry in path.iterdir():
        if not entry.is_dir():  # it has no class
            ignored[HIDDEN if is_hidden(entry) else "outside the class folders"] += 1
    for folder in folders:
        label = clean_label(folder.name, where=str(folder))
        skipped: Counter[str] = Counter()
        found = list(walk_images(folder, skipped, above=(_identity(path),)))
        if not found:
            listed = f" ({_list_counts(skipped)})" if skipped else ""
            raise DataDirError(
                f"every class folder must hold images ({', '.join(SUFFIXES)}). Received: {folder} with none{listed}. "
                "Convert its files, for example to PNG, or move the folder elsewhere"
            )
        ignored += skipped
        for file in found:
            member = _member(file, path)
            files.append(SourceFile(member, label, member))
            origin, *below = file.relative_to(folder).parts
            if below:
                origins[member] = unicodedata.normalize("NFC", origin)
    return ImageList(path, path, tuple(sorted(files)), origins, dict(sorted(ignored.items())))


def walk_images(
    folder: pathlib.Path,
    ignored: Counter[str],
    *,
    leaves_out: Callable[[pathlib.Path], bool] = lambda folder: False,
    above: tuple[tuple[int, int], ...] = (),
) -> Iterator[pathlib.Path]:
    """Yields the images of a folder and its subfolders, following links.

    Args:
        folder: where to look.
        ignored: counts the files that are no images, by suffix.
        leaves_out: whether a folder is not looked into.
        above: the folders on the way here, which a link may lead back to.
    """
    here = _identity(folder)
    if here in above or leaves_out(folder):
        return
    for entry in folder.iterdir():
        if is_hidden(entry):
            ignored[HIDDEN] += 1
        elif entry.is_dir():
            yield from walk_images(entry, ignored, leaves_out=leaves_out, above=(*above, here))
        elif entry.suffix.casefold() in SUFFIXES and (entry.is_file() or not entry.exists()):
            yield entry  # a link to nowhere too: it is listed as unreadable, a pipe is not waited for
        else:
            ignored[suffix_of(entry)] += 1


def is_hidden(path: pathlib.Path) -> bool:
    """Whether a file or folder is hidden, or was left by a file manager, an archiver or a network drive."""
    return path.name.startswith(".") or path.name.casefold() in _SYSTEM_NAMES


def suffix_of(path: pathlib.PurePath) -> str:
    """By which files that are no images are counted; what is no UTF-8 is written as code points."""
    return os.fsencode(path.suffix.casefold()).decode(errors="backslashreplace") or NO_SUFFIX


def _identity(path: pathlib.Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _member(file: pathlib.Path, root: pathlib.Path) -> str:
    member = file.relative_to(root).as_posix()
    try:
        member.encode()
    except UnicodeEncodeError as error:
        raise DataDirError(
            f"names of files must be UTF-8. Received: {os.fsencode(file)!r}. Rename it, for example with convmv"
        ) from error
    return member


def _state(path: pathlib.Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # a link to nowhere
        status = path.lstat()
    return status.st_size, status.st_mtime_ns


def _list_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))
