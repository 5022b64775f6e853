"""Locks between processes, each with a file beside it that names the process that holds it."""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import socket
import sys
from collections.abc import Callable, Iterator

import filelock


class LockedError(RuntimeError):
    """Another process holds the lock; the message names it."""


@contextlib.contextmanager
def held(path: pathlib.Path, *, waiting: Callable[[str], str] | None = None) -> Iterator[None]:
    """Holds a lock; the operating system frees that of a process that was killed.

    Args:
        path: of the lock's file, in a folder that exists.
        waiting: what to print to stderr before waiting for another process, given what is known of that; None for not
            waiting.

    Raises:
        LockedError: another process holds it, and `waiting` is None.
    """
    lock = filelock.FileLock(path)
    owner = path.with_name(f"{path.name}.owner")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        if waiting is None:
            raise LockedError(_name_owner(owner)) from error
        print(waiting(_name_owner(owner)), file=sys.stderr, flush=True)
        lock.acquire()
    try:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}, since {now}", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _name_owner(owner: pathlib.Path) -> str:
    try:
        return f"another run ({owner.read_text(encoding='utf-8')})"
    except (OSError, UnicodeDecodeError):  # it has the lock since a moment ago
        return "another run"
