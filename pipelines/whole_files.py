"""Files that are there only when they are complete."""

from __future__ import annotations

import os
import pathlib


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file that appears only when it is complete."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    move_into_place(unfinished, path)


def move_into_place(unfinished: pathlib.Path, path: pathlib.Path) -> None:
    """Renames a complete file, once it is on the disk."""
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)
