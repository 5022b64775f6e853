"""Files and folders that are there only when they are complete: after a kill, and after a power cut."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Replaces a file at once.

    Args:
        path: the file; its folder exists.

    Yields:
        A hidden file of the same suffix beside it, to be written and closed. Without an exception it becomes `path`.
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".unfinished.{path.name}")
    yield unfinished
    move_into_place(unfinished, path)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replaces a file by text in UTF-8, at once."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def move_into_place(unfinished: pathlib.Path, path: pathlib.Path) -> None:
    """Renames a complete file or folder, once all of it is on the disk."""
    for part in [unfinished, *unfinished.rglob("*")]:
        sync(part)
    unfinished.replace(path)
    sync(path.parent)


def sync(path: pathlib.Path) -> None:
    """Waits until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
