"""Paths that name no image file, told before anything is classified, each with what to do."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Sequence

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|data:", re.IGNORECASE)
_PATTERN = re.compile(r"[*?\[]")


def check_paths(paths: Sequence[str | bytes]) -> None:
    """Checks that every path names a file; one whose name has `*`, `?` or `[` and that is there is a file as well.

    Raises:
        FileNotFoundError: one names nothing.
        IsADirectoryError: one names a folder.
    """
    wrong = [name for name in map(os.fsdecode, paths) if not _is_there(name) or pathlib.Path(name).is_dir()]
    if not wrong:
        return
    first = str(wrong[0])
    more = f" and {len(wrong) - 1:,} more of {len(paths):,} paths" if len(wrong) > 1 else ""
    is_folder = _is_there(first)
    kind, remedy = _explain_folder(first) if is_folder else _explain_missing(first)
    raise (IsADirectoryError if is_folder else FileNotFoundError)(
        f"files must be paths of image files that exist. Received: {first!r}, {kind}{more}. {remedy} With "
        'errors="rows" such a path becomes a row with the status unreadable.'
    )


def _is_there(name: str) -> bool:
    try:
        return pathlib.Path(name).exists()
    except (OSError, ValueError):  # longer than a name can be, or with a character that none can have
        return False


def _explain_folder(name: str) -> tuple[str, str]:
    return "a folder", (
        f"Pass its files, for example sorted(pathlib.Path({name!r}).glob('*.png')), or score all of it: "
        "python -m pipelines.score."
    )


def _explain_missing(name: str) -> tuple[str, str]:
    """What a path is that names nothing, and what to do instead."""
    if _ADDRESS.match(name):
        return "an address, which is not downloaded", "Download the file and pass its path or its bytes."
    if _PATTERN.search(name):
        return "a pattern, or a name that is not there", "Expand the pattern: sorted(glob.glob(pattern))."
    if os.path.lexists(name.replace("\0", "")):
        return "a link to nowhere", "Mend the link."
    return "which does not exist", f"Look at its spelling; it starts from the folder {pathlib.Path.cwd()}."
