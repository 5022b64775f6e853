"""Labels and paths that a user's folders and tables may hold."""

from __future__ import annotations

import pathlib
import unicodedata

_FORBIDDEN_IN_LABELS = "/\\|"  # separators of paths, and of the labels of a pair in near_duplicates.csv


class DataDirError(ValueError):
    """Own images that cannot enter; the message names the folder, file or line, and what to change."""


def clean_label(text: str, *, where: str) -> str:
    """A class name in Unicode's composed form, so that one name typed on two systems is one class.

    Args:
        text: the folder's name or the table's entry.
        where: what an error names.

    Raises:
        DataDirError: it is empty, or holds a character that files of this package use as a separator.
    """
    label = unicodedata.normalize("NFC", text.strip())
    if not label:
        raise DataDirError(f"label must not be empty. Received: {where}. Name the class, or remove the image")
    if any(character in _FORBIDDEN_IN_LABELS for character in label) or not _is_text(label):
        raise DataDirError(
            f"label must be UTF-8 text without control characters and without {' '.join(_FORBIDDEN_IN_LABELS)}. "
            f"Received: {label!r} ({where}). Rename the class"
        )
    return label


def safe_member(text: str, *, where: str) -> str:
    """A path below the table's folder, with slashes.

    Args:
        text: the table's entry; backslashes, as Windows writes them, count as slashes.
        where: what an error names.

    Raises:
        DataDirError: it is empty, absolute, or leads out of the folder.
    """
    path = pathlib.PurePosixPath(text.replace("\\", "/"))
    if not path.parts or not _is_text(text):
        raise DataDirError(f"file must be the path of an image. Received: {text!r} ({where}). Name the file")
    if path.is_absolute() or pathlib.PureWindowsPath(text).drive or ".." in path.parts:
        raise DataDirError(
            f"file must be a path below the table's folder. Received: {text!r} ({where}). Put the table into a folder "
            "above all images and make the paths relative to it; a link to a folder elsewhere is followed"
        )
    return path.as_posix()


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8 and holds no control character."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def is_file(path: pathlib.Path) -> bool:
    """`Path.is_file`, which raises where a name is longer than the disk allows: such a file is not there."""
    try:
        return path.is_file()
    except OSError:
        return False
