"""SHA-256 digests of files and of JSON, and the list of them beside the files that `sha256sum -c SHA256SUMS` reads."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sperm_tf.whole_files import write_text

SUMS_FILE = "SHA256SUMS"
_RECORD_DIGEST = "record_sha256"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


class SumsError(ValueError):
    """A list of digests that cannot be read; the message names the file and the remedy."""


def digest_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 hex digest of a file's content, read in blocks."""
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_json(fields: Any) -> str:
    """SHA-256 hex digest of what JSON can hold, independent of the order of names."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def write_record(path: pathlib.Path, fields: Mapping[str, Any]) -> None:
    """Writes fields as JSON, with their SHA-256 as one more field."""
    content = {**fields, _RECORD_DIGEST: digest_json(fields)}
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def read_record(path: pathlib.Path) -> dict[str, Any]:
    """The fields that `write_record` wrote, or an earlier version without a SHA-256.

    Raises:
        OSError: the file cannot be read.
        ValueError, TypeError: it holds something else.
    """
    fields = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(fields, dict):
        raise TypeError(f"a {type(fields).__name__} instead of an object")
    recorded = fields.pop(_RECORD_DIGEST, None)
    if recorded is not None and recorded != digest_json(fields):
        raise ValueError(f"its content has not the SHA-256 in {_RECORD_DIGEST}")
    return fields


def digest_files(folder: pathlib.Path, names: Iterable[str] | None = None) -> dict[str, str]:
    """SHA-256 hex digests of files.

    Args:
        folder: where they are.
        names: relative to the folder; None for all in it and in its folders, but what is hidden and lists of digests.

    Returns:
        Relative name -> digest, in the order of the names.

    Raises:
        OSError: a file cannot be read.
    """
    if names is None:
        files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name != SUMS_FILE)
        names = [name.as_posix() for name in files if not any(part.startswith(".") for part in name.parts)]
    return {name: digest_file(folder / name) for name in sorted(names)}


def changed_files(folder: pathlib.Path, digests: Mapping[str, str]) -> list[str]:
    """Names of the files that are missing or have another content.

    Args:
        folder: where they are.
        digests: relative name -> SHA-256 hex digest.

    Raises:
        OSError: a file is there, but cannot be read.
    """
    return [name for name, digest in digests.items() if _is_changed(folder / name, digest)]


def write_sums(path: pathlib.Path, digests: Mapping[str, str]) -> None:
    """Writes digests in the form of `sha256sum`.

    Args:
        path: of the list.
        digests: name, relative to the folder that the check is run in -> SHA-256 hex digest.
    """
    write_text(path, "".join(f"{digest}  {name}\n" for name, digest in digests.items()))


def read_sums(path: pathlib.Path) -> dict[str, str] | None:
    """The digests that `write_sums` wrote.

    Args:
        path: of the list.

    Returns:
        Name -> SHA-256 hex digest; None where there is no list, as with what earlier versions wrote.

    Raises:
        SumsError: it holds something else.
        OSError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        lines = [""]
    found = [_LINE.fullmatch(line) for line in lines]
    if not found or None in found:
        raise SumsError(
            f"the list of digests must have a SHA-256 and a name in every line. Received: {path}, which is damaged. "
            "Nothing that it lists can be checked. Restore it from a copy, or make its folder again."
        )
    return {match[2]: match[1] for match in found if match}


def _is_changed(path: pathlib.Path, digest: str) -> bool:
    try:
        return digest_file(path) != digest
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return True
