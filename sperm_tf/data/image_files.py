"""Files that may hold images, told by their names: which are read, which are left alone, and how both are counted."""

from __future__ import annotations

import os
import pathlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

PICTURE_SUFFIXES = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png")
MICROSCOPE_SUFFIXES = (".czi", ".dcm", ".nd2", ".svs", ".tif", ".tiff")
"""Of the formats that `sperm_tf.microscopy` reads."""
SUFFIXES = tuple(sorted((*PICTURE_SUFFIXES, *MICROSCOPE_SUFFIXES)))
HIDDEN, NO_SUFFIX = "hidden", "no suffix"
# Left by file managers, archivers and network drives.
_SYSTEM_NAMES = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"}
# Images that nothing here decodes: pictures, and files of microscopes that may hold many images.
_CONVERTIBLE = {".avif", ".dng", ".heic", ".heif", ".jp2", ".pgm", ".ppm", ".psd", ".webp"}
_EXPORTABLE = {".lif", ".lsm", ".mrxs", ".ndpi", ".oib", ".oif", ".oir", ".vsi"}


class DataDirError(ValueError):
    """Images of a user's own that cannot be used; the message names the folder, file or line, and what to change."""


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
    here = folder_identity(folder)
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


def folder_identity(path: pathlib.Path) -> tuple[int, int]:
    """Device and inode, which a folder and every link to it share."""
    status = path.stat()
    return status.st_dev, status.st_ino


def is_hidden(path: pathlib.PurePath) -> bool:
    """Whether a file or folder is hidden, or was left by a file manager, an archiver or a network drive."""
    return path.name.startswith(".") or path.name.casefold() in _SYSTEM_NAMES


def suffix_of(path: pathlib.PurePath) -> str:
    """By which files that are no images are counted; what is no UTF-8 is written as code points."""
    return os.fsencode(path.suffix.casefold()).decode(errors="backslashreplace") or NO_SUFFIX


def is_file(path: pathlib.Path) -> bool:
    """`Path.is_file`, which raises where a name is longer than the disk allows: such a file is not there."""
    try:
        return path.is_file()
    except OSError:
        return False


def describe_ignored(counts: Mapping[str, int]) -> str:
    """A sentence for an error: how many files were ignored by suffix, and what to do; empty where none was.

    Args:
        counts: suffix, `hidden` or `no suffix` -> number of files.
    """
    if not counts:
        return ""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{number:,} {kind} {'file' if number == 1 else 'files'}" for kind, number in ordered)
    verb = "was" if sum(counts.values()) == 1 else "were"
    remedies = []
    if convertible := sorted(_CONVERTIBLE.intersection(counts)):
        remedies.append(
            f"convert {' and '.join(convertible)} to PNG, for example with mogrify -format png *{convertible[0]}"
        )
    if exportable := sorted(_EXPORTABLE.intersection(counts)):
        remedies.append(f"export {' and '.join(exportable)} as OME-TIFF, one image a file, by the microscope's program")
    return f"{listed} {verb} ignored{': ' if remedies else ''}{'; '.join(remedies)}"
