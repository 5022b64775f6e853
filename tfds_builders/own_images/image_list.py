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
from collections.abc import Callable, Iterator, Mapping, Sequence

from sperm_tf.data.archives import SourceFile
from sperm_tf.data.decode import UndecodableImageError
from sperm_tf.data.image_files import (
    HIDDEN,
    SUFFIXES,
    DataDirError,
    describe_ignored,
    folder_identity,
    is_hidden,
    suffix_of,
    walk_images,
)
from sperm_tf.data.tables import TABLE_SUFFIXES
from sperm_tf.microscopy import to_served
from tfds_builders.own_images.augmented_names import warn_of_augmented_copies
from tfds_builders.own_images.names import check_label_variants, clean_label, is_missing, warn_of_group_variants
from tfds_builders.own_images.structure import check_structure, warn_of_subclasses
from tfds_builders.own_images.table import read_labels

_OUTSIDE = "outside the class folders"


@dataclasses.dataclass(frozen=True)
class ImageList:
    """The images of a folder or a table.

    Attributes:
        path: the folder or the table.
        root: the folder that the members' paths start from.
        files: the images, sorted by `image_id`, which is the path below `root`; `class_folder` is the label.
        origins: `image_id` -> patient, slide or whatever else its images have in common, where it is known.
        ignored: suffix of a file that is not read, or `hidden` -> number of such files.
        warnings: what may be wrong with labels, groups and names; for people.
    """

    path: pathlib.Path
    root: pathlib.Path
    files: tuple[SourceFile, ...]
    origins: Mapping[str, str]
    ignored: Mapping[str, int]
    warnings: tuple[str, ...] = ()

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
        known = sorted(set(self.origins.values()))
        groups = "no groups given, every image is its own"
        if known:
            groups = f"{len(known):,} groups given, such as {', '.join(known[:3])}"
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
            content = (self.root / member).read_bytes()
        except OSError as error:  # a file without permission, a link to nowhere
            raise UndecodableImageError(
                f"file must be readable. Received: {member} ({error.strerror}). Mend its permissions or its link"
            ) from error
        return to_served(content, name=member)


def list_images(data_dir: str | os.PathLike[str]) -> ImageList:
    """Lists the images of a folder of class folders, or of a CSV table.

    Folder: each of its folders is a class. Subfolders of a class folder are patients or slides: all images below
    `<class>/p01` belong together, and with those below `<other class>/p01`. Only files whose names end with one of
    `sperm_tf.data.image_files.SUFFIXES` are read; others are counted. Links are followed.

    Table: see `tfds_builders.own_images.table.read_labels`.

    Args:
        data_dir: the folder, or the table, whose name ends with `.csv` or `.tsv`.

    Returns:
        The images.

    Raises:
        DataDirError: `data_dir` is neither, does not hold two or more classes, is laid out by splits or by patients
            first, or has labels that differ in spelling only; the message says what to change.
        OSError: a folder or the table may not be read.
    """
    path = pathlib.Path(data_dir)
    if path.is_dir():
        images = _list_folder(path)
    elif path.is_file() and path.suffix.casefold() in TABLE_SUFFIXES:
        images = _list_table(path)
    else:
        kind = "is a file of another kind" if path.exists() else "does not exist"
        raise DataDirError(
            f"data_dir must be a folder that holds one folder per class, or a table ({' or '.join(TABLE_SUFFIXES)}). "
            f"Received: data_dir={path}, which {kind}. Name yours: --data_dir=<folder or table.csv>; unpack an archive"
        )
    check_label_variants(Counter(file.class_folder for file in images.files), where=str(path))
    warnings = (*warn_of_group_variants(images.origins.values()), *warn_of_augmented_copies(images.files))
    return dataclasses.replace(images, warnings=(*images.warnings, *warnings))


def _list_table(path: pathlib.Path) -> ImageList:
    rows, warnings = read_labels(path)
    files = tuple(sorted(SourceFile(row.file, row.label, row.file) for row in rows))
    origins = {row.file: row.group for row in rows if row.group is not None}
    images = ImageList(path, path.parent, files, origins, {}, tuple(warnings))
    if len(images.class_names) < 2:
        raise _too_few_classes(images, "Label the images of every class in the table")
    return images


def _list_folder(path: pathlib.Path) -> ImageList:
    entries = [(entry, is_hidden(entry)) for entry in sorted(path.iterdir())]
    folders = [entry for entry, hidden in entries if entry.is_dir() and not hidden]
    outside = Counter(HIDDEN if hidden else suffix_of(entry) for entry, hidden in entries if not entry.is_dir())
    ignored = Counter({HIDDEN: outside[HIDDEN], _OUTSIDE: outside.total() - outside[HIDDEN]})
    skipped: dict[pathlib.Path, Counter[str]] = {folder: Counter() for folder in folders}
    found = {folder: sorted(walk_images(folder, skipped[folder], above=(folder_identity(path),))) for folder in folders}
    places = [file.relative_to(path).parts[:-1] for files in found.values() for file in files]
    names = [folder.name for folder in folders]
    check_structure(path, names, places)
    files: list[SourceFile] = []
    origins: dict[str, str] = {}
    for folder in folders:
        label = clean_label(folder.name, where=str(folder))
        if not found[folder]:
            raise DataDirError(
                f"every class folder must hold images ({', '.join(SUFFIXES)}). Received: {folder} with none. "
                f"{_sentence(describe_ignored(skipped[folder]))}Put images into it, or move the folder elsewhere"
            )
        for file in found[folder]:
            member = _member(file, path)
            files.append(SourceFile(member, label, member))
            if group := _group(file, folder):
                origins[member] = group
    total = sum((ignored, *skipped.values()), Counter())
    warnings = tuple(warn_of_subclasses(names, places))
    images = ImageList(path, path, tuple(sorted(files)), origins, dict(sorted(total.items())), warnings)
    if len(images.class_names) < 2:
        ignored_files = describe_ignored(sum((outside, *skipped.values()), Counter()))
        raise _too_few_classes(images, f"{_sentence(ignored_files)}{_where_classes_may_be(places)}")
    return images


def _group(file: pathlib.Path, folder: pathlib.Path) -> str:
    """The name of the subfolder of a class that holds a file; empty for one directly in the class folder."""
    first, *below = file.relative_to(folder).parts
    if not below:
        return ""
    if is_missing(first):
        raise DataDirError(
            f"group must not be empty. Received: {folder / first}, which says that it is unknown. Name the patient or "
            "slide, or put its images directly into the class folder, where each is its own group"
        )
    return unicodedata.normalize("NFC", first)


def _too_few_classes(images: ImageList, remedy: str) -> DataDirError:
    found = ", ".join(images.class_names) or "none"
    return DataDirError(
        f"data_dir must hold images of at least two classes. Received: data_dir={images.path} with {len(images.files)} "
        f"images, classes: {found}. {remedy}"
    )


def _where_classes_may_be(places: Sequence[tuple[str, ...]]) -> str:
    """What to do where one folder or none holds images."""
    inside = sorted({place[1] for place in places if len(place) > 1})
    if len(inside) > 1:
        return (
            f"The classes may be the folders in {places[0][0]} ({', '.join(inside[:5])}): then name that folder, "
            f"--data_dir=<...>/{places[0][0]}"
        )
    return "Put the images of every class into a folder of its own below it, or label them in a table"


def _sentence(text: str) -> str:
    return f"{text}. " if text else ""


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
