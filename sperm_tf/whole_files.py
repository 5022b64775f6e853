"""Files and folders that are there only when they are complete: after a kill, and after a power cut."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Numbers of the errors of a disk that is full, or takes no more from this process."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Replaces a file at once.

    Args:
        path: the file; its folder exists.

    Yields:
        A hidden file of the same suffix beside it, to be written and closed. Without an exception it becomes `path`.

    Raises:
        OSError: the disk takes no more; `path` is as it was.
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".unfinished.{path.name}")
    try:
        yield unfinished
        move_into_place(unfinished, path)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise OSError(
            error.errno,
            f"{path} cannot be written: {os.strerror(error.errno or 0)}. What was there is kept. Make room on the "
            "disk, and run the same command again",
        ) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replaces a file by text in UTF-8, at once."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def set_aside(path: pathlib.Path) -> pathlib.Path:
    """Renames a file or folder to a name that is free, `<name>.bak`, `<name>.bak2` and so on.

    Returns:
        The new path.
    """
    target, number = path.with_name(f"{path.name}.bak"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.bak{number}")
    path.rename(target)
    return target


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
