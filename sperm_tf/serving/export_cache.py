"""Exports of released models, kept in the user's cache: exporting takes much longer than copying.

A folder is named by the SHA-256 of all that an export follows from, and is used again only while its files have the
digests that were written beside them. Layout: `<cache>/exports/<model>-<key>/{<format>, files.json}`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterator

from sperm_tf.file_digests import digest_files
from sperm_tf.models.released import Release
from sperm_tf.served_names import LITERT, ONNX, OPENVINO, SAVED_MODEL
from sperm_tf.version import __version__
from sperm_tf.whole_files import move_into_place, write_text

CACHE_VARIABLE = "SPERM_TF_CACHE"
"""Environment variable that names another folder than `sperm_tf` in the user's cache."""
_PACKAGES = ("tensorflow", "keras", "numpy")
_CONVERTERS = {SAVED_MODEL: (), ONNX: ("tf2onnx",), OPENVINO: ("tf2onnx", "openvino"), LITERT: ()}
_FILES = "files.json"
_PACKAGE_DIR = pathlib.Path(__file__).resolve().parents[1]


def cache_folder() -> pathlib.Path:
    """Where exports are kept: `$SPERM_TF_CACHE`, else `sperm_tf` in `$XDG_CACHE_HOME` or `~/.cache`."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return pathlib.Path(chosen).expanduser()
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sperm_tf"


def export_key(release: Release, *, format: str = SAVED_MODEL) -> str:
    """SHA-256 of what the export of a release follows from.

    Weights, decision rule, architecture, class names, image size, views, format; and versions of the packages and the
    source code of this one, since that becomes the graph.

    Raises:
        ImportError: a package that the export needs is not installed.
    """
    facts = {
        "weights": release.sha256,
        "rule": release.rule,
        "model": repr(release.model),
        "class_names": release.class_names,
        "image_size": release.image_size,
        "views": release.views,
        "package": __version__,
        "source": _source_digest(),
        "versions": {name: importlib.metadata.version(name) for name in (*_PACKAGES, *_CONVERTERS[format])},
        "format": format,
        "python": sys.version_info[:2],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def copy_export(
    release: Release, target: pathlib.Path, export: Callable[[pathlib.Path], None], *, format: str = SAVED_MODEL
) -> bool:
    """Puts the export of a release into a folder.

    Args:
        release: the model.
        target: folder of the export; must not exist.
        export: writes it to the folder that it is given, where none is kept.
        format: of `sperm_tf.served_names.FORMATS`.

    Returns:
        Whether one was kept. A cache that cannot be written is left out.

    Raises:
        OSError: `target` cannot be written.
    """
    entry = cache_folder() / "exports" / f"{release.name}-{export_key(release, format=format)[:32]}"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(entry))
            is_kept = _is_whole(entry, format)
            if not is_kept:
                _fill(entry, export, format)
        except _CacheError:
            export(target)
            return False
        shutil.copytree(entry / format, target)
    return is_kept


class _CacheError(OSError):
    """The cache cannot be used."""


@contextlib.contextmanager
def _locked(entry: pathlib.Path) -> Iterator[None]:
    """Lets one process at a time export and copy; the operating system frees the lock of one that is killed."""
    import filelock

    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(entry.with_name(f".{entry.name}.lock"))
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise _CacheError(str(error)) from error
    try:
        yield
    finally:
        lock.release()


def _is_whole(entry: pathlib.Path, format: str) -> bool:
    """Whether an entry holds the files that were written to it, and no other."""
    try:
        expected = json.loads((entry / _FILES).read_text(encoding="utf-8"))
        return bool(expected) and expected == digest_files(entry / format)
    except (OSError, ValueError):
        return False


def _fill(entry: pathlib.Path, export: Callable[[pathlib.Path], None], format: str) -> None:
    unfinished = entry.with_name(f".unfinished.{entry.name}")
    try:
        for leftover in (entry, unfinished):  # damaged, or of a process that was killed
            if leftover.exists():
                shutil.rmtree(leftover)
        unfinished.mkdir()
    except OSError as error:
        raise _CacheError(str(error)) from error
    export(unfinished / format)
    try:
        write_text(unfinished / _FILES, json.dumps(digest_files(unfinished / format), indent=2) + "\n")
        move_into_place(unfinished, entry)
    except OSError as error:  # such as a full disk
        raise _CacheError(str(error)) from error


@functools.cache
def _source_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE_DIR.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE_DIR).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
